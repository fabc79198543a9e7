// librettosctl guest …
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "client/commands/finish.h"
#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/units.h"
#include "client/commands/verbs.h"
#include "client/monotonic.h"
#include "client/names.h"

namespace librettos::ctl {

template <>
struct View<v1::Guest> {
  static constexpr char kCollection[] = "guests";
  using List = v1::ListGuestsResponse;
  static auto* Items(List& list) { return list.mutable_guests(); }
  static const v1::Guest* Of(const v1::WatchResponse& c) { return c.has_guest() ? &c.guest() : nullptr; }

  static Cell State(const v1::Guest& guest) {
    using Status = v1::GuestStatus;
    const auto state = guest.status().state();
    const bool bad = state == Status::DEGRADED || state == Status::DISCONNECTED;
    return Cell(EnumText(state), state == Status::RUNNING ? Colour::kGood
                                 : bad                    ? Colour::kBad
                                                          : Colour::kBusy);
  }
  static Cell ModeCell(const v1::Guest& guest) {
    if (guest.status().transition() == v1::GuestStatus::TRANSITION_UNSPECIFIED) {
      return Cell(EnumText(guest.status().mode()));
    }
    return Cell(EnumText(guest.status().transition()), Colour::kBusy);
  }

  static std::vector<Table::Column> Columns(bool wide) {
    std::vector<Table::Column> columns = {"NAME", "STATE",           "MODE", "SERVER", "ADDRESSES",
                                          "NIC",  {"RESTARTS", true}};
    if (wide) {
      columns.insert(columns.end(), {"MAC",
                                     {"PID", true},
                                     {"QUEUE-PAIRS", true},
                                     {"MODE-CHANGES", true},
                                     {"LAST-PAUSE", true},
                                     {"AGE", true},
                                     "RUNS",
                                     "MESSAGE"});
    }
    return columns;
  }
  static std::vector<Cell> Row(const v1::Guest& guest, bool wide, absl::Time now) {
    const v1::GuestSpec& spec = guest.spec();
    const v1::GuestStatus& status = guest.status();
    std::vector<Cell> row = {guest.name(),
                             State(guest),
                             ModeCell(guest),
                             spec.server(),
                             spec.addresses().empty() ? "shared" : absl::StrJoin(spec.addresses(), " "),
                             status.nic(),
                             absl::StrCat(status.restarts())};
    if (wide) {
      row.insert(row.end(),
                 {status.mac(), status.pid() == 0 ? "" : absl::StrCat(status.pid()),
                  absl::StrCat(std::max(1u, spec.queue_pairs())), absl::StrCat(status.mode_changes()),
                  status.has_last_mode_change_pause() ? Time(FromProto(status.last_mode_change_pause())) : "",
                  Age(guest.create_time(), now), Runs(spec), status.message()});
    }
    return row;
  }
  static std::string Runs(const v1::GuestSpec& spec) {
    return absl::StrCat(spec.image(), spec.image().empty() || spec.arguments().empty() ? "" : " ",
                        absl::StrJoin(spec.arguments(), " "));
  }

  static void Describe(const v1::Guest& guest, absl::Time now, Description& d) {
    const v1::GuestSpec& spec = guest.spec();
    const v1::GuestStatus& status = guest.status();
    d.Add("Name", guest.name());
    d.Add("State", State(guest));
    d.Add("Message", status.message());
    d.Add("Mode", ModeCell(guest));
    d.Add("NIC", status.nic());
    d.Section("Specification");
    d.Add("Server", spec.server());
    d.AddAll("Addresses", {spec.addresses().begin(), spec.addresses().end()});
    if (spec.addresses().empty()) d.Add("Addresses", "shared with the server, by port leases");
    d.Add("IPv4 gateway", spec.ipv4_gateway());
    d.Add("IPv6 gateway", spec.ipv6_gateway());
    d.Add("MAC", spec.mac());
    d.Add("Queue pairs", absl::StrCat(std::max(1u, spec.queue_pairs())));
    d.Add("Image", spec.image().empty() ? "the built-in programs" : spec.image());
    d.Add("Arguments", absl::StrJoin(spec.arguments(), " "));
    d.Add("Files", spec.files());
    if (spec.memory_mib() != 0) d.Add("Memory", absl::StrCat(spec.memory_mib(), " MiB"));
    if (spec.vcpus() != 0) d.Add("CPUs", absl::StrCat(spec.vcpus()));
    d.Add("Restart", spec.restart() == v1::GuestSpec::NEVER ? "NEVER" : "ALWAYS");
    d.Section("Running");
    d.Add("Domain", status.domain() == 0 ? "none" : absl::StrCat(status.domain()));
    if (status.pid() != 0) d.Add("Process", absl::StrCat(status.pid()));
    d.Add("MAC", status.mac());
    d.Section("History");
    d.Add("Mode changes", absl::StrCat(status.mode_changes()));
    d.Add("Last pause",
          status.has_last_mode_change_pause() ? Time(FromProto(status.last_mode_change_pause())) : "");
    d.Add("Restarts", absl::StrCat(status.restarts()));
    d.Add("Last exit", status.last_exit());
    d.Add("Created", absl::StrCat(When(guest.create_time()), " (", Age(guest.create_time(), now), " ago)"));
    d.Add("Etag", guest.etag());
  }
};

namespace {

constexpr absl::Duration kDefaultWait = absl::Seconds(30);

struct CreateOptions {
  std::string name;
  std::string server, gateway4, gateway6, mac, image, files, restart;
  std::vector<std::string> addresses;
  uint32_t queue_pairs = 0, memory_mib = 0, vcpus = 0;
  bool wait = true;
  Guard guard;
};

v1::CreateGuestRequest ToRequest(const Context& context, const std::string& name, const CreateOptions& o) {
  v1::CreateGuestRequest request;
  request.set_request_id(o.guard.request_id);
  request.mutable_guest()->set_name(name);
  v1::GuestSpec* spec = request.mutable_guest()->mutable_spec();
  spec->set_server(FullName("servers", o.server));
  for (const std::string& address : o.addresses) spec->add_addresses(address);
  spec->set_ipv4_gateway(o.gateway4);
  spec->set_ipv6_gateway(o.gateway6);
  spec->set_mac(o.mac);
  spec->set_queue_pairs(o.queue_pairs);
  spec->set_memory_mib(o.memory_mib);
  spec->set_vcpus(o.vcpus);
  spec->set_image(o.image);
  for (const std::string& argument : context.after_dashes) spec->add_arguments(argument);
  spec->set_files(o.files);
  if (o.restart == "always") spec->set_restart(v1::GuestSpec::ALWAYS);
  if (o.restart == "never") spec->set_restart(v1::GuestSpec::NEVER);
  return request;
}

absl::Status Create(Context& context, const std::string& name, const CreateOptions& o) {
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  const absl::Duration start = Monotonic();
  absl::StatusOr<v1::Guest> guest = (*daemon)->CreateGuest(ToRequest(context, name, o));
  if (!guest.ok()) return guest.status();
  if (!o.wait) return PrintChanged(context, *guest, absl::StrCat(name, " created"));
  const absl::Duration timeout = context.WaitTime(kDefaultWait);
  const auto settled = [](const v1::Guest& g) {
    return g.status().state() == v1::GuestStatus::RUNNING || g.status().state() == v1::GuestStatus::STOPPED;
  };
  guest = (*daemon)->AwaitGuest(name, timeout, settled);
  if (absl::IsDeadlineExceeded(guest.status())) {
    return ExplainTimeout(name, "RUNNING", timeout, (*daemon)->GetGuest(name));
  }
  if (!guest.ok()) return guest.status();
  if (guest->status().state() == v1::GuestStatus::STOPPED) {
    v1::ErrorInfo info;
    info.set_resource(name);
    info.set_next_step("look at it with: librettosctl guest describe " + std::string(IdOf(name)));
    const std::string& why =
        guest->status().last_exit().empty() ? guest->status().message() : guest->status().last_exit();
    return WithErrorInfo(absl::UnknownError(absl::StrCat("it was started and has ended already",
                                                         why.empty() ? "" : ": ", why)),
                         info);
  }
  return PrintChanged(context, *guest,
                      absl::StrCat(name, " created: RUNNING after ", Time(Monotonic() - start)));
}

void AddCreate(CLI::App* noun, Context* context) {
  auto o = std::make_shared<CreateOptions>();
  CLI::App* app = noun->add_subcommand(
      "create", "Create and start a guest; its command line follows \"--\": … -- http --port 80");
  app->add_option("NAME", o->name, "Name, with or without \"guests/\"")->required()->type_name("");
  app->add_option("--server", o->server, "The network server it is connected to")
      ->required()
      ->type_name("SERVER");
  app->add_option("--address", o->addresses,
                  "Address of its own; repeatable: one IPv4, up to four IPv6 (default: shares its server's)")
      ->type_name("ADDRESS/PREFIX")
      ->allow_extra_args(false);
  app->add_option("--gateway4", o->gateway4, "IPv4 default route")->type_name("ADDRESS");
  app->add_option("--gateway6", o->gateway6, "IPv6 default route")->type_name("ADDRESS");
  app->add_option("--mac", o->mac, "Hardware address (default: derived from the name)")->type_name("MAC");
  app->add_option("--queue-pairs", o->queue_pairs, "Queue pairs of its channel, 1 to 8 (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 8));
  app->add_option("--image", o->image, "The guest's binary (default: the built-in programs)")
      ->type_name("PATH");
  app->add_option("--files", o->files, "Directory that it may read (default: none)")->type_name("DIR");
  app->add_option("--restart", o->restart,
                  "Whether it is started again after it ended: always, never (default: always)")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"always", "never"}));
  AddSize(app, &o->memory_mib, &o->vcpus);
  AddWait(app, &o->wait, "Wait until it is RUNNING (default: yes)");
  AddGuard(app, &o->guard, false);
  app->callback([=] {
    const std::string name = FullName("guests", o->name);
    context->what = "create " + name;
    context->run = [=] { return Create(*context, name, *o); };
  });
}

struct ModeOptions {
  std::string name, mode, nic;
  std::optional<absl::Duration> deadline;
  bool wait = true;
  Guard guard;
};

absl::Status SetMode(Context& context, const std::string& name, const ModeOptions& o) {
  v1::SetGuestModeRequest request;
  request.set_name(name);
  request.set_mode(o.mode == "direct" ? v1::DIRECT : v1::SERVER);
  request.set_nic(FullName("nics", o.nic));
  if (o.deadline.has_value()) *request.mutable_deadline() = ToProto(*o.deadline);
  request.set_etag(o.guard.etag);
  request.set_request_id(o.guard.request_id);
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  absl::StatusOr<v1::Operation> operation = (*daemon)->SetGuestMode(request);
  if (!operation.ok()) return operation.status();
  const absl::Duration needed = o.deadline.value_or(absl::Seconds(5)) + absl::Seconds(10);
  return FinishOperation(
      context, **daemon, *std::move(operation), o.wait, std::max(kDefaultWait, needed),
      absl::StrCat(name, " is in mode ", v1::Mode_Name(request.mode())),
      "the guest goes on in the mode it was in; see: librettosctl guest describe " + std::string(IdOf(name)));
}

void AddSetMode(CLI::App* noun, Context* context) {
  auto o = std::make_shared<ModeOptions>();
  CLI::App* app =
      noun->add_subcommand("set-mode", "Change how a guest reaches the wire; its connections stay open");
  app->add_option("NAME", o->name, "Name, with or without \"guests/\"")->required()->type_name("");
  app->add_option("MODE", o->mode, "direct: by a NIC of its own; server: through its network server")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"direct", "server"}));
  app->add_option("--nic", o->nic, "The NIC to use in direct mode (default: the first free one)")
      ->type_name("NIC");
  AddDuration(app, "--deadline", &o->deadline, "How long it may take before it is undone (default: 5s)");
  AddWait(app, &o->wait, "Wait until it is done (default: yes)");
  AddGuard(app, &o->guard, true);
  app->callback([=] {
    const std::string name = FullName("guests", o->name);
    context->what = absl::StrCat("set-mode ", name, " ", o->mode);
    context->run = [=] { return SetMode(*context, name, *o); };
  });
}

}  // namespace

void AddGuestCommands(CLI::App* app, Context* context) {
  CLI::App* noun =
      app->add_subcommand("guest", "Guests: run an application on their own stack")->require_subcommand(1);
  AddList<v1::Guest>(noun, context, [](Client& client) { return client.ListGuests(); });
  AddDescribe<v1::Guest>(noun, context, &Client::GetGuest);
  AddCreate(noun, context);
  AddDelete<v1::Guest>(noun, context, "Stop and delete a guest at once", &Client::DeleteGuest);
  AddSetMode(noun, context);
}

}  // namespace librettos::ctl
