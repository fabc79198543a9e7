// librettosctl nic …
#include <memory>
#include <string>

#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/units.h"
#include "client/commands/verbs.h"
#include "client/names.h"

namespace librettos::ctl {

template <>
struct View<v1::Nic> {
  static constexpr char kCollection[] = "nics";
  using List = v1::ListNicsResponse;
  static auto* Items(List& list) { return list.mutable_nics(); }
  static const v1::Nic* Of(const v1::WatchResponse& c) { return c.has_nic() ? &c.nic() : nullptr; }

  static Cell State(const v1::Nic& nic) {
    const auto state = nic.status().state();
    return Cell(EnumText(state), state == v1::NicStatus::UNAVAILABLE ? Colour::kBad : Colour::kGood);
  }

  static std::vector<Table::Column> Columns(bool wide) {
    std::vector<Table::Column> columns = {"NAME", "STATE", "OWNER", "DEVICE", "MAC"};
    if (wide) columns.insert(columns.end(), {{"MTU", true}, "NAMESPACE", "BRIDGE", {"AGE", true}, "MESSAGE"});
    return columns;
  }
  static std::vector<Cell> Row(const v1::Nic& nic, bool wide, absl::Time now) {
    const v1::Tap& tap = nic.spec().tap();
    std::vector<Cell> row = {nic.name(), State(nic), nic.status().owner(),
                             nic.spec().has_pci()   ? "pci " + nic.spec().pci().address()
                             : nic.spec().has_tap() ? "tap " + tap.interface()
                                                    : "",
                             nic.status().mac()};
    if (wide) {
      row.insert(row.end(), {absl::StrCat(nic.status().mtu()), tap.network_namespace(), tap.bridge(),
                             Age(nic.create_time(), now), nic.status().message()});
    }
    return row;
  }
  static void Describe(const v1::Nic& nic, absl::Time now, Description& d) {
    d.Add("Name", nic.name());
    d.Add("State", State(nic));
    d.Add("Message", nic.status().message());
    d.Add("Owner", nic.status().owner().empty() ? "nobody" : nic.status().owner());
    d.Section("Specification");
    if (nic.spec().has_pci()) d.Add("PCI function", nic.spec().pci().address());
    if (nic.spec().has_tap()) {
      d.Add("TAP interface", nic.spec().tap().interface());
      d.Add("Network namespace", nic.spec().tap().network_namespace());
      d.Add("Bridge", nic.spec().tap().bridge());
    }
    d.Section("Device");
    d.Add("MAC", nic.status().mac());
    if (nic.status().mtu() != 0) d.Add("MTU", absl::StrCat(nic.status().mtu(), " bytes"));
    d.Section("Resource");
    d.Add("Created", absl::StrCat(When(nic.create_time()), " (", Age(nic.create_time(), now), " ago)"));
    d.Add("Etag", nic.etag());
  }
};

namespace {

struct CreateOptions {
  std::string name;
  std::string interface, network_namespace, bridge, pci;
  Guard guard;
};

void AddCreate(CLI::App* noun, Context* context) {
  auto o = std::make_shared<CreateOptions>();
  CLI::App* app =
      noun->add_subcommand("create", "Declare a NIC that librettos may hand to domains, and open it");
  app->add_option("NAME", o->name, "Name, with or without \"nics/\"")->required()->type_name("");
  CLI::Option* tap = app->add_option("--tap", o->interface, "TAP interface; made if it does not exist")
                         ->type_name("INTERFACE");
  app->add_option("--pci", o->pci, "PCI function, e.g. 0000:03:00.0 (on Xen)")
      ->excludes(tap)
      ->type_name("ADDRESS");
  app->add_option("--netns", o->network_namespace,
                  "Network namespace the TAP is in, e.g. /run/netns/wire (default: the daemon's)")
      ->needs(tap)
      ->type_name("PATH");
  app->add_option("--bridge", o->bridge, "Bridge to put the TAP into")->needs(tap)->type_name("INTERFACE");
  AddGuard(app, &o->guard, false);
  app->callback([=] {
    if (o->interface.empty() && o->pci.empty()) throw CLI::RequiredError("--tap or --pci");
    const std::string name = FullName("nics", o->name);
    context->what = "create " + name;
    context->run = [=]() -> absl::Status {
      v1::CreateNicRequest request;
      request.set_request_id(o->guard.request_id);
      request.mutable_nic()->set_name(name);
      v1::NicSpec* spec = request.mutable_nic()->mutable_spec();
      if (!o->pci.empty()) {
        spec->mutable_pci()->set_address(o->pci);
      } else {
        spec->mutable_tap()->set_interface(o->interface);
        spec->mutable_tap()->set_network_namespace(o->network_namespace);
        spec->mutable_tap()->set_bridge(o->bridge);
      }
      absl::StatusOr<Client*> daemon = context->Daemon();
      if (!daemon.ok()) return daemon.status();
      absl::StatusOr<v1::Nic> nic = (*daemon)->CreateNic(request);
      if (!nic.ok()) return nic.status();
      std::string sentence = absl::StrCat(nic->name(), " created: ", EnumText(nic->status().state()));
      if (!nic->status().message().empty()) {
        absl::StrAppend(&sentence, " (", Printable(nic->status().message()), ")");
      }
      return PrintChanged(*context, *nic, sentence);
    };
  });
}

}  // namespace

void AddNicCommands(CLI::App* app, Context* context) {
  CLI::App* noun = app->add_subcommand("nic", "NICs: what moves frames to the wire")->require_subcommand(1);
  AddList<v1::Nic>(noun, context, [](Client& client) { return client.ListNics(); });
  AddDescribe<v1::Nic>(noun, context, &Client::GetNic);
  AddCreate(noun, context);
  AddDelete<v1::Nic>(noun, context, "Give up a NIC that nobody owns", &Client::DeleteNic);
}

}  // namespace librettos::ctl
