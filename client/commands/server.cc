// librettosctl server …
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
struct View<v1::NetworkServer> {
  static constexpr char kCollection[] = "servers";
  using List = v1::ListNetworkServersResponse;
  static auto* Items(List& list) { return list.mutable_network_servers(); }
  static const v1::NetworkServer* Of(const v1::WatchResponse& c) {
    return c.has_network_server() ? &c.network_server() : nullptr;
  }

  static Cell State(const v1::NetworkServer& server) {
    using Status = v1::NetworkServerStatus;
    const auto state = server.status().state();
    const bool bad = state == Status::DEGRADED || state == Status::FAILING_OVER;
    return Cell(EnumText(state), state == Status::ACTIVE ? Colour::kGood
                                 : bad                   ? Colour::kBad
                                                         : Colour::kBusy);
  }
  static std::string Standby(const v1::NetworkServer& server) {
    if (server.spec().has_standby() && !server.spec().standby()) return "off";
    if (server.status().standby_domain() == 0) return "none";
    return server.status().standby_ready() ? "ready" : "starting";
  }
  static std::string Domain(uint32_t domain, int32_t pid) {
    if (domain == 0) return "none";
    return pid == 0 ? absl::StrCat("domain ", domain) : absl::StrCat("domain ", domain, ", process ", pid);
  }

  static std::vector<Table::Column> Columns(bool wide) {
    std::vector<Table::Column> columns = {
        "NAME", "STATE", "NIC", {"GUESTS", true}, "STANDBY", {"FAILOVERS", true}, {"UPGRADES", true}};
    if (wide) {
      columns.insert(columns.end(), {{"EPOCH", true},
                                     {"PID", true},
                                     {"STANDBY-PID", true},
                                     {"LAST-TAKEOVER", true},
                                     "SHARED-ADDRESSES",
                                     "IMAGE",
                                     {"AGE", true},
                                     "MESSAGE"});
    }
    return columns;
  }
  static std::vector<Cell> Row(const v1::NetworkServer& server, bool wide, absl::Time now) {
    const v1::NetworkServerStatus& status = server.status();
    std::vector<Cell> row = {server.name(),
                             State(server),
                             server.spec().nic(),
                             absl::StrCat(status.connected_guests()),
                             Standby(server),
                             absl::StrCat(status.failovers()),
                             absl::StrCat(status.upgrades())};
    if (wide) {
      row.insert(row.end(),
                 {absl::StrCat(status.epoch()), status.active_pid() ? absl::StrCat(status.active_pid()) : "",
                  status.standby_pid() ? absl::StrCat(status.standby_pid()) : "",
                  status.has_last_takeover() ? Time(FromProto(status.last_takeover())) : "",
                  absl::StrJoin(server.spec().shared_addresses(), " "), status.image(),
                  Age(server.create_time(), now), status.message()});
    }
    return row;
  }
  static void Describe(const v1::NetworkServer& server, absl::Time now, Description& d) {
    const v1::NetworkServerSpec& spec = server.spec();
    const v1::NetworkServerStatus& status = server.status();
    d.Add("Name", server.name());
    d.Add("State", State(server));
    d.Add("Message", status.message());
    d.Add("Guests", absl::StrCat(status.connected_guests(), " connected"));
    d.Section("Specification");
    d.Add("NIC", spec.nic());
    d.AddAll("Shared addresses", {spec.shared_addresses().begin(), spec.shared_addresses().end()});
    d.Add("Image", spec.image().empty() ? "the daemon's default" : spec.image());
    d.Add("Standby", spec.has_standby() && !spec.standby() ? "no" : "yes");
    d.Add("Standby NIC", spec.standby_nic());
    if (spec.memory_mib() != 0) d.Add("Memory", absl::StrCat(spec.memory_mib(), " MiB"));
    if (spec.vcpus() != 0) d.Add("CPUs", absl::StrCat(spec.vcpus()));
    d.Add("Hang time-out", spec.has_hang_timeout() ? Time(FromProto(spec.hang_timeout())) : "");
    d.Section("Running");
    d.Add("Active", Domain(status.active_domain(), status.active_pid()));
    d.Add("Image", status.image());
    d.Add("Epoch", absl::StrCat(status.epoch()));
    d.Add("Standby",
          Standby(server) == "off" || status.standby_domain() == 0
              ? Standby(server)
              : absl::StrCat(Domain(status.standby_domain(), status.standby_pid()), ", ", Standby(server)));
    d.Section("History");
    d.Add("Failovers", absl::StrCat(status.failovers()));
    d.Add("Upgrades", absl::StrCat(status.upgrades()));
    d.Add("Last takeover", status.has_last_takeover() ? Time(FromProto(status.last_takeover())) : "");
    d.Add("Created", absl::StrCat(When(server.create_time()), " (", Age(server.create_time(), now), " ago)"));
    d.Add("Etag", server.etag());
  }
};

namespace {

constexpr absl::Duration kDefaultWait = absl::Seconds(30);

struct CreateOptions {
  std::string name;
  std::string nic, standby_nic, image;
  uint32_t memory_mib = 0, vcpus = 0;
  std::vector<std::string> shared;
  bool standby = true;
  std::optional<absl::Duration> hang_timeout;
  bool wait = true;
  Guard guard;
};

absl::Status Create(Context& context, const std::string& name, const CreateOptions& o) {
  v1::CreateNetworkServerRequest request;
  request.set_request_id(o.guard.request_id);
  request.mutable_network_server()->set_name(name);
  v1::NetworkServerSpec* spec = request.mutable_network_server()->mutable_spec();
  spec->set_nic(FullName("nics", o.nic));
  for (const std::string& address : o.shared) spec->add_shared_addresses(address);
  spec->set_image(o.image);
  if (!o.standby) spec->set_standby(false);
  if (!o.standby_nic.empty()) spec->set_standby_nic(FullName("nics", o.standby_nic));
  spec->set_memory_mib(o.memory_mib);
  spec->set_vcpus(o.vcpus);
  if (o.hang_timeout.has_value()) *spec->mutable_hang_timeout() = ToProto(*o.hang_timeout);
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  const absl::Duration start = Monotonic();
  absl::StatusOr<v1::NetworkServer> server = (*daemon)->CreateNetworkServer(request);
  if (!server.ok()) return server.status();
  if (!o.wait) return PrintChanged(context, *server, absl::StrCat(name, " created"));
  const absl::Duration timeout = context.WaitTime(kDefaultWait);
  const auto active = [](const v1::NetworkServer& s) {
    return s.status().state() == v1::NetworkServerStatus::ACTIVE;
  };
  server = (*daemon)->AwaitNetworkServer(name, timeout, active);
  if (absl::IsDeadlineExceeded(server.status())) {
    return ExplainTimeout(name, "ACTIVE", timeout, (*daemon)->GetNetworkServer(name));
  }
  if (!server.ok()) return server.status();
  return PrintChanged(context, *server,
                      absl::StrCat(name, " created: ACTIVE after ", Time(Monotonic() - start)));
}

void AddCreate(CLI::App* noun, Context* context) {
  auto o = std::make_shared<CreateOptions>();
  CLI::App* app = noun->add_subcommand("create", "Create and start a network server");
  app->add_option("NAME", o->name, "Name, with or without \"servers/\"")->required()->type_name("");
  app->add_option("--nic", o->nic, "The NIC that it owns")->required()->type_name("NIC");
  app->add_option("--shared", o->shared, "Address that guests can share by port leases; repeatable")
      ->type_name("ADDRESS/PREFIX")
      ->allow_extra_args(false);
  app->add_option("--image", o->image, "The server's binary (default: the daemon's)")->type_name("PATH");
  app->add_flag("--standby,!--no-standby", o->standby,
                "Keep a second server ready to take over (default: yes)");
  app->add_option("--standby-nic", o->standby_nic,
                  "A second NIC on the same segment, held ready by the standby (default: none)")
      ->type_name("NIC");
  AddSize(app, &o->memory_mib, &o->vcpus);
  AddDuration(app, "--hang-timeout", &o->hang_timeout,
              "How long its heartbeat may stand still, 100ms to 60s (default: 500ms)");
  AddWait(app, &o->wait, "Wait until it is ACTIVE (default: yes)");
  AddGuard(app, &o->guard, false);
  app->callback([=] {
    const std::string name = FullName("servers", o->name);
    context->what = "create " + name;
    context->run = [=] { return Create(*context, name, *o); };
  });
}

struct UpgradeOptions {
  std::string image;
  std::optional<absl::Duration> health_timeout;
  bool wait = true;
  Guard guard;
};

absl::Status Upgrade(Context& context, const std::string& name, const UpgradeOptions& o) {
  v1::UpgradeNetworkServerRequest request;
  request.set_name(name);
  request.set_image(o.image);
  if (o.health_timeout.has_value()) *request.mutable_health_timeout() = ToProto(*o.health_timeout);
  request.set_etag(o.guard.etag);
  request.set_request_id(o.guard.request_id);
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  absl::StatusOr<v1::Operation> operation = (*daemon)->UpgradeNetworkServer(request);
  if (!operation.ok()) return operation.status();
  // It may take that long to get ready, and that long again to become healthy.
  const absl::Duration needed = 2 * o.health_timeout.value_or(absl::Seconds(5)) + absl::Seconds(10);
  return FinishOperation(context, **daemon, *std::move(operation), o.wait, std::max(kDefaultWait, needed),
                         absl::StrCat(name, " upgraded"),
                         "nothing has changed; see: librettosctl server describe " + std::string(IdOf(name)));
}

void AddUpgrade(CLI::App* noun, Context* context) {
  auto o = std::make_shared<UpgradeOptions>();
  CLI::App* app =
      AddNamed(noun, "upgrade", "Replace the running server by another binary without losing a frame",
               "servers", context, [=](const std::string& name) { return Upgrade(*context, name, *o); });
  app->add_option("--image", o->image, "The new binary (default: the one in use)")->type_name("PATH");
  AddDuration(app, "--health-timeout", &o->health_timeout,
              "How long it may take to get ready, and then to become healthy (default: 5s)");
  AddWait(app, &o->wait, "Wait until it is done (default: yes)");
  AddGuard(app, &o->guard, true);
}

absl::Status Fail(Context& context, const std::string& name, bool wait, const Guard& guard) {
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  absl::StatusOr<v1::NetworkServer> before = (*daemon)->GetNetworkServer(name);
  if (!before.ok()) return before.status();
  v1::FailNetworkServerRequest request;
  request.set_name(name);
  request.set_request_id(guard.request_id);
  absl::StatusOr<v1::NetworkServer> server = (*daemon)->FailNetworkServer(request);
  if (!server.ok()) return server.status();
  if (!wait) return PrintChanged(context, *server, absl::StrCat(name, ": active server killed"));
  const absl::Duration timeout = context.WaitTime(kDefaultWait);
  server = (*daemon)->AwaitNetworkServer(name, timeout, [&](const v1::NetworkServer& now) {
    return now.status().state() == v1::NetworkServerStatus::ACTIVE &&
           now.status().failovers() > before->status().failovers();
  });
  if (absl::IsDeadlineExceeded(server.status())) {
    return ExplainTimeout(name, "ACTIVE again", timeout, (*daemon)->GetNetworkServer(name));
  }
  if (!server.ok()) return server.status();
  return PrintChanged(context, *server,
                      absl::StrCat(name, " failed over to domain ", server->status().active_domain(), " in ",
                                   Time(FromProto(server->status().last_takeover()))));
}

void AddFail(CLI::App* noun, Context* context) {
  auto wait = std::make_shared<bool>(true);
  auto guard = std::make_shared<Guard>();
  CLI::App* app =
      AddNamed(noun, "fail", "Kill the active server, so that the standby takes over", "servers", context,
               [=](const std::string& name) { return Fail(*context, name, *wait, *guard); });
  AddWait(app, wait.get(), "Wait until it is ACTIVE again (default: yes)");
  AddGuard(app, guard.get(), false);
}

}  // namespace

void AddServerCommands(CLI::App* app, Context* context) {
  CLI::App* noun =
      app->add_subcommand("server", "Network servers: forward frames for guests")->require_subcommand(1);
  AddList<v1::NetworkServer>(noun, context, [](Client& client) { return client.ListNetworkServers(); });
  AddDescribe<v1::NetworkServer>(noun, context, &Client::GetNetworkServer);
  AddCreate(noun, context);
  AddDelete<v1::NetworkServer>(noun, context, "Delete a server that no guest refers to",
                               &Client::DeleteNetworkServer);
  AddUpgrade(noun, context);
  AddFail(noun, context);
}

}  // namespace librettos::ctl
