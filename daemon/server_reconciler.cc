#include "daemon/server_reconciler.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/convert.h"
#include "daemon/log.h"
#include "guest/platform/fault_point.h"

namespace librettos::daemon {
namespace {

// docs/protocols.md, Failover.
constexpr absl::Duration kActivateAnyway = absl::Seconds(1);
constexpr absl::Duration kBackOff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackOff = absl::Seconds(10);
// A server that forwarded for less died "in close succession".
constexpr absl::Duration kShortLife = absl::Milliseconds(300);
// Heartbeats grow every 100 ms (guest/platform/statistics.h), so that less would kill healthy servers.
constexpr absl::Duration kMinHangTimeout = absl::Milliseconds(250);
constexpr int kPollsPerTimeout = 5;

absl::Duration HangTimeout(const ServerRecord& record) {
  return std::max(FromProto(record.resource().spec().hang_timeout()), kMinHangTimeout);
}

DomainRecord* SlotOf(ServerRecord& record, uint32_t domain) {
  if (domain == 0) return nullptr;
  if (record.active().id() == domain) return record.mutable_active();
  if (record.standby().id() == domain) return record.mutable_standby();
  if (record.successor().id() == domain) return record.mutable_successor();
  if (record.previous().id() == domain) return record.mutable_previous();
  return nullptr;
}

bool WantsStandby(const ServerRecord& record) {
  return !record.resource().spec().has_standby() || record.resource().spec().standby();
}

}  // namespace

void ServerReconciler::Adopt(const std::string& server, uint32_t domain) {
  ServerRecord& record = *model_.FindServer(server);
  DomainRecord* slot = SlotOf(record, domain);
  Runtime& runtime = runtime_[server];
  runtime.domains[domain].started = scheduler_.Monotonic();
  model_.owner_of_domain[domain] = server;
  connections_.WriteServerKeys(record, domain, slot->role().empty() ? "standby" : slot->role());
  if (slot == record.mutable_active()) {
    runtime.activated = scheduler_.Monotonic();
    if (slot->nic().empty()) nics_.AssumeGiven(record.resource().spec().nic(), domain);
  }
  if (!slot->nic().empty()) nics_.AssumeGiven(slot->nic(), domain);
}

void ServerReconciler::Resume(const std::string& server) {
  ServerRecord& record = *model_.FindServer(server);
  std::vector<uint32_t> dead;
  for (uint32_t domain : Connections::DomainsOf(record)) {
    if (!runtime_[server].domains.contains(domain)) dead.push_back(domain);
  }
  // Known to be ending before the first of them is told, so that no other of them takes its place.
  for (uint32_t domain : dead) runtime_[server].domains[domain].destroying = true;
  for (uint32_t domain : dead) {
    runtime_[server].domains[domain].destroying = false;  // It ended by itself.
    model_.owner_of_domain.erase(domain);
    OnDomainExit(server, domain, {.orderly = false, .description = "died while librettosd was not running"});
    // With its last domain a server goes that is being deleted.
    if (model_.FindServer(server) == nullptr) return;
  }
  Runtime& runtime = runtime_[server];
  if (record.deleting()) return Delete(server);
  ResumeUpgrade(record, runtime);
  ArmHeartbeat(server, runtime);
  Reconcile(server);
}

bool ServerReconciler::IsForwarding(const ServerRecord& record, const Runtime& runtime) const {
  return record.active().id() != 0 && runtime.forwarding;
}

bool ServerReconciler::forwards(const std::string& server) const {
  const ServerRecord* record = model_.FindServer(server);
  auto it = runtime_.find(server);
  return record != nullptr && it != runtime_.end() && IsForwarding(*record, it->second);
}

void ServerReconciler::ReconcileAt(const std::string& server, Runtime& runtime, absl::Duration when) {
  scheduler_.Cancel(runtime.reconcile_timer);
  absl::Duration delay = std::max(when - scheduler_.Monotonic(), absl::ZeroDuration());
  runtime.reconcile_timer = scheduler_.After(delay, [this, server] {
    auto it = runtime_.find(server);
    if (it == runtime_.end()) return;
    it->second.reconcile_timer = 0;
    Reconcile(server);
  });
}

void ServerReconciler::Reconcile(const std::string& server) {
  ServerRecord* record = model_.FindServer(server);
  if (record == nullptr || record->deleting()) return;
  Runtime& runtime = runtime_[server];
  absl::Duration now = scheduler_.Monotonic();
  if (runtime.heartbeat_timer == 0) ArmHeartbeat(server, runtime);

  if (record->active().id() == 0) {
    // An upgrade that is giving the NIC back has its own way to an active domain.
    if (record->upgrade().step() == Upgrade::REVERTING) return;
    if (record->standby().id() != 0) {
      Domain& candidate = runtime.domains[record->standby().id()];
      if (candidate.destroying) return;
      if (candidate.ready >= 2 || now - candidate.started >= kActivateAnyway) {
        DomainRecord domain = record->standby();
        record->clear_standby();
        Activate(*record, runtime, domain);
      } else {
        ReconcileAt(server, runtime, candidate.started + kActivateAnyway);
      }
      return;
    }
    if (now < runtime.spawn_not_before) return ReconcileAt(server, runtime, runtime.spawn_not_before);
    if (Spawn(*record, runtime, *record->mutable_standby(), record->resource().spec().image())) {
      ReconcileAt(server, runtime, now + kActivateAnyway);
    } else {
      ReconcileAt(server, runtime, runtime.spawn_not_before);
    }
    return;
  }

  if (!WantsStandby(*record) || record->standby().id() != 0 || !record->upgrade().operation().empty()) return;
  // The start of a process takes milliseconds of this loop: first let the active one say that it forwards.
  if (!runtime.forwarding && now < runtime.activated + kActivateAnyway) {
    return ReconcileAt(server, runtime, runtime.activated + kActivateAnyway);
  }
  if (now < runtime.spawn_not_before) return ReconcileAt(server, runtime, runtime.spawn_not_before);
  if (!Spawn(*record, runtime, *record->mutable_standby(), record->resource().spec().image())) {
    ReconcileAt(server, runtime, runtime.spawn_not_before);
  }
}

bool ServerReconciler::Spawn(ServerRecord& record, Runtime& runtime, DomainRecord& slot,
                             const std::string& image) {
  const std::string& server = record.resource().name();
  hypervisor::DomainConfig config;
  config.name = absl::StrCat(server, "#", record.next_serial());
  config.kind = hypervisor::DomainKind::kServer;
  config.image = image;
  config.memory_mib = record.resource().spec().memory_mib();
  config.vcpus = record.resource().spec().vcpus();
  auto id = hypervisor_.Create(config);
  if (!id.ok()) {
    runtime.message = absl::StrCat("a network server could not be started: ", id.status().message());
    Log(Level::kError, "server cannot be started",
        {{"server", server}, {"error", std::string(id.status().message())}});
    BackOff(runtime, true);
    model_.Changed(server);
    return false;
  }
  FAULT_POINT("daemon.spawned");
  record.set_next_serial(record.next_serial() + 1);
  model_.DomainIdUsed(*id);
  model_.owner_of_domain[*id] = server;
  slot.set_id(*id);
  slot.set_image(image);
  slot.set_role("standby");
  Domain& domain = runtime.domains[*id];
  domain.started = scheduler_.Monotonic();
  connections_.WriteServerKeys(record, *id, "standby");
  GiveAhead(record, slot);
  Log(Level::kInfo, "server domain started",
      {{"server", server}, {"domain", absl::StrCat(*id)}, {"image", image}});
  model_.MarkDirty();
  model_.Changed(server);
  return true;
}

// Takes a copy: callers pass slots that change here.
void ServerReconciler::Activate(ServerRecord& record, Runtime& runtime, DomainRecord domain) {
  uint32_t epoch = model_.NextEpoch();
  FAULT_POINT("daemon.activating");
  std::string role = absl::StrCat("active ", epoch);
  GiveForActivation(record, domain);
  FAULT_POINT("daemon.nic-given");
  connections_.WriteRole(domain.id(), role);
  FAULT_POINT("daemon.role-written");
  // From here on nothing is urgent.
  domain.set_role(role);
  *record.mutable_active() = domain;
  record.set_epoch(epoch);
  runtime.forwarding = false;
  runtime.activated = scheduler_.Monotonic();
  runtime.message.clear();
  Log(Level::kInfo, "server activated",
      {{"server", record.resource().name()},
       {"domain", absl::StrCat(domain.id())},
       {"epoch", absl::StrCat(epoch)}});
  model_.MarkDirty();
  model_.Changed(record.resource().name());
}

void ServerReconciler::Destroy(Runtime& runtime, uint32_t domain) {
  auto it = runtime.domains.find(domain);
  if (it == runtime.domains.end() || it->second.destroying) return;
  it->second.destroying = true;
  absl::Status status = hypervisor_.Destroy(domain);
  if (!status.ok()) {
    Log(Level::kError, "domain cannot be destroyed",
        {{"domain", absl::StrCat(domain)}, {"error", std::string(status.message())}});
  }
}

void ServerReconciler::Delete(const std::string& server) {
  Runtime& runtime = runtime_[server];
  std::vector<uint32_t> ids;
  for (const auto& [id, domain] : runtime.domains) ids.push_back(id);
  for (uint32_t id : ids) Destroy(runtime, id);
  model_.Changed(server);
  EraseIfGone(server);
}

void ServerReconciler::EraseIfGone(const std::string& server) {
  ServerRecord* record = model_.FindServer(server);
  auto it = runtime_.find(server);
  if (record == nullptr || !record->deleting() || (it != runtime_.end() && !it->second.domains.empty()))
    return;
  if (it != runtime_.end()) {
    scheduler_.Cancel(it->second.reconcile_timer);
    scheduler_.Cancel(it->second.upgrade_timer);
    scheduler_.Cancel(it->second.heartbeat_timer);
    runtime_.erase(it);
  }
  std::string nic = record->resource().spec().nic();
  std::string standby_nic = record->resource().spec().standby_nic();
  std::string name = server;  // `server` may lie within the record.
  model_.servers.erase(name);
  model_.MarkDirty();
  model_.Changed(name);
  model_.Changed(nic);
  if (!standby_nic.empty()) model_.Changed(standby_nic);
}

void ServerReconciler::FailActive(const std::string& server) {
  ServerRecord& record = *model_.FindServer(server);
  Runtime& runtime = runtime_[server];
  runtime.notice = scheduler_.Monotonic();
  runtime.measuring = true;
  Destroy(runtime, record.active().id());
}

void ServerReconciler::BackOff(Runtime& runtime, bool short_life) {
  absl::Duration now = scheduler_.Monotonic();
  if (!short_life) {
    runtime.short_lives = 0;
    runtime.spawn_not_before = now;
    return;
  }
  runtime.spawn_not_before = now + std::min(kBackOff * (1 << std::min(runtime.short_lives, 10)), kMaxBackOff);
  ++runtime.short_lives;
}

void ServerReconciler::OnDomainExit(const std::string& server, uint32_t domain,
                                    const hypervisor::DomainExit& exit) {
  ServerRecord* found = model_.FindServer(server);
  if (found == nullptr) return;
  ServerRecord& record = *found;
  Runtime& runtime = runtime_[server];
  absl::Duration now = scheduler_.Monotonic();
  bool was_active = record.active().id() == domain;
  bool killed_by_us = runtime.domains.contains(domain) && runtime.domains[domain].destroying;

  if (was_active && !record.deleting()) {
    FAULT_POINT("daemon.noticed");
    bool short_life = !runtime.forwarding || now - runtime.activated < kShortLife;
    runtime.forwarding = false;
    runtime.failing_over = true;
    if (!runtime.measuring) runtime.notice = now;
    runtime.measuring = true;
    record.clear_active();
    if (!DeathDuringUpgrade(record, runtime, exit.description)) {
      record.set_failovers(record.failovers() + 1);
      auto standby = runtime.domains.find(record.standby().id());
      if (record.standby().id() != 0 && standby != runtime.domains.end() && standby->second.ready >= 1 &&
          !standby->second.destroying) {
        DomainRecord next = record.standby();
        record.clear_standby();
        Activate(record, runtime, next);
      } else {
        runtime.message =
            absl::StrCat("the active network server ended (", exit.description, ") and no standby was ready");
      }
    }
    BackOff(runtime, short_life && !killed_by_us);
  } else if (DomainRecord* slot = SlotOf(record, domain); slot != nullptr) {
    slot->Clear();
    if (!record.deleting() && !DeathDuringUpgrade(record, runtime, exit.description)) {
      BackOff(runtime, !killed_by_us);
    }
  }
  Log(killed_by_us ? Level::kInfo : Level::kWarning, "server domain ended",
      {{"server", server},
       {"domain", absl::StrCat(domain)},
       {"how", exit.description},
       {"active", was_active ? "yes" : "no"}});
  AfterDeath(record, runtime, domain);
}

void ServerReconciler::AfterDeath(ServerRecord& record, Runtime& runtime, uint32_t domain) {
  std::string server = record.resource().name();
  FAULT_POINT("daemon.forgetting");
  runtime.domains.erase(domain);
  WithdrawNics(record, domain);
  if (!record.deleting()) GiveWhatIsFree(record, runtime);
  connections_.ForgetServer(record, domain);
  model_.MarkDirty();
  model_.Changed(server);
  if (record.deleting()) return EraseIfGone(server);
  Reconcile(server);
}

void ServerReconciler::OnDomainConnected(const std::string& server, uint32_t domain) {
  auto it = runtime_.find(server);
  if (it == runtime_.end() || !it->second.domains.contains(domain)) return;
  it->second.domains[domain].connected = true;
  model_.Changed(server);
}

void ServerReconciler::OnKey(const std::string& server, uint32_t domain, absl::string_view key) {
  ServerRecord* record = model_.FindServer(server);
  auto it = runtime_.find(server);
  if (record == nullptr || it == runtime_.end() || !it->second.domains.contains(domain)) return;
  Runtime& runtime = it->second;
  Domain& state = runtime.domains[domain];
  // What the domain wrote is hostile: anything that does not parse counts as not said.
  auto value = hypervisor_.Read(absl::StrCat(DomainPath(domain), "/", key)).value_or("");
  if (key == "data/role") {
    if (state.role == value) return;
    state.role = value;
    OnRole(*record, runtime, domain);
  } else if (key == "data/ready") {
    state.ready = value == "2" ? 2 : value == "1" ? 1 : 0;
  } else if (key == "data/healthy") {
    if (!absl::SimpleAtoi(value, &state.healthy)) state.healthy = 0;
  } else if (absl::StartsWith(key, "backend/vif/")) {
    model_.Changed(server);
    return;
  } else {
    return;
  }
  AdvanceUpgrade(*record, runtime);
  Reconcile(server);
  model_.Changed(server);
}

void ServerReconciler::OnRole(ServerRecord& record, Runtime& runtime, uint32_t domain) {
  const std::string& role = runtime.domains[domain].role;
  if (absl::StartsWith(role, "failed")) {
    runtime.message = absl::StrCat("domain ", domain, " reports: ", role.substr(0, 200));
    Log(Level::kError, "server domain failed", {{"server", record.resource().name()}, {"role", role}});
    Destroy(runtime, domain);
    // It failed by itself: its end counts for the back-off.
    runtime.domains[domain].destroying = false;
    return;
  }
  if (record.active().id() != domain || runtime.forwarding || role != absl::StrCat("active ", record.epoch()))
    return;
  runtime.forwarding = true;
  runtime.failing_over = false;
  LogFields fields = {{"server", record.resource().name()}, {"domain", absl::StrCat(domain)}};
  if (runtime.measuring) {
    const absl::Duration now = scheduler_.Monotonic();
    runtime.pause = now - runtime.notice;
    *record.mutable_last_takeover() = ToProto(runtime.pause);
    runtime.measuring = false;
    model_.MarkDirty();
    // On the clock that all processes share, so that what others saw can be laid beside it.
    for (auto [name, time] : {std::pair("noticed_us", runtime.notice),
                              std::pair("activated_us", runtime.activated), std::pair("forwards_us", now)}) {
      fields.emplace_back(name, absl::StrCat(absl::ToInt64Microseconds(time)));
    }
  }
  Log(Level::kInfo, "server forwards", fields);
}

void ServerReconciler::ArmHeartbeat(const std::string& server, Runtime& runtime) {
  ServerRecord* record = model_.FindServer(server);
  if (record == nullptr) return;
  scheduler_.Cancel(runtime.heartbeat_timer);
  runtime.heartbeat_timer =
      scheduler_.After(HangTimeout(*record) / kPollsPerTimeout, [this, server] { PollHeartbeats(server); });
}

void ServerReconciler::PollHeartbeats(const std::string& server) {
  auto it = runtime_.find(server);
  ServerRecord* record = model_.FindServer(server);
  if (it == runtime_.end() || record == nullptr) return;
  Runtime& runtime = it->second;
  absl::Duration now = scheduler_.Monotonic();
  std::vector<uint32_t> hung;
  for (auto& [id, domain] : runtime.domains) {
    if (domain.destroying) continue;
    auto heartbeat = hypervisor_.Heartbeat(id);
    if (heartbeat.ok() && (!domain.beating || *heartbeat != domain.heartbeat)) {
      domain.beating = true;
      domain.heartbeat = *heartbeat;
      domain.beat_at = now;
      domain.stale_polls = 0;
      continue;
    }
    // Polls are counted besides the time, so that a daemon that was itself held up does not blame the server.
    ++domain.stale_polls;
    absl::Duration since = domain.beating ? domain.beat_at : domain.started;
    absl::Duration limit = domain.beating ? HangTimeout(*record) : hypervisor_.StartDeadline();
    if (domain.stale_polls >= kPollsPerTimeout && now - since >= limit) hung.push_back(id);
  }
  for (uint32_t id : hung) {
    Log(Level::kWarning, "server domain hangs and is killed",
        {{"server", server}, {"domain", absl::StrCat(id)}});
    if (record->active().id() == id) {
      runtime.notice = now;
      runtime.measuring = true;
    }
    Destroy(runtime, id);
  }
  ArmHeartbeat(server, runtime);
}

v1::NetworkServer ServerReconciler::View(const std::string& server) const {
  const ServerRecord& record = *model_.FindServer(server);
  v1::NetworkServer view = record.resource();
  v1::NetworkServerStatus& status = *view.mutable_status();
  static const Runtime kNone;
  auto it = runtime_.find(server);
  const Runtime& runtime = it == runtime_.end() ? kNone : it->second;
  bool forwarding = IsForwarding(record, runtime);
  if (record.deleting()) {
    status.set_state(v1::NetworkServerStatus::DELETING);
  } else if (!record.upgrade().operation().empty() && record.active().id() != 0) {
    status.set_state(v1::NetworkServerStatus::UPGRADING);
  } else if (forwarding) {
    status.set_state(v1::NetworkServerStatus::ACTIVE);
  } else if (!nics_.is_open(record.resource().spec().nic())) {
    status.set_state(v1::NetworkServerStatus::DEGRADED);
    status.set_message(absl::StrCat("its NIC ", record.resource().spec().nic(), " is not available"));
  } else if (runtime.failing_over) {
    status.set_state(runtime.short_lives > 1 ? v1::NetworkServerStatus::DEGRADED
                                             : v1::NetworkServerStatus::FAILING_OVER);
  } else {
    status.set_state(runtime.short_lives > 0 ? v1::NetworkServerStatus::DEGRADED
                                             : v1::NetworkServerStatus::STARTING);
  }
  if (status.message().empty()) status.set_message(runtime.message);
  status.set_active_domain(record.active().id());
  status.set_standby_domain(record.active().id() == 0 ? 0 : record.standby().id());
  auto standby = runtime.domains.find(status.standby_domain());
  status.set_standby_ready(status.standby_domain() != 0 && standby != runtime.domains.end() &&
                           standby->second.ready >= 2);
  if (status.active_domain() != 0) status.set_active_pid(hypervisor_.Pid(status.active_domain()));
  if (status.standby_domain() != 0) status.set_standby_pid(hypervisor_.Pid(status.standby_domain()));
  status.set_epoch(record.epoch());
  status.set_failovers(record.failovers());
  status.set_upgrades(record.upgrades());
  if (record.has_last_takeover()) *status.mutable_last_takeover() = record.last_takeover();
  status.set_image(record.active().image());
  uint32_t connected = 0;
  if (record.active().id() != 0) {
    std::string base = absl::StrCat(DomainPath(record.active().id()), "/backend/vif");
    for (const std::string& guest : hypervisor_.List(base)) {
      if (hypervisor_.Read(absl::StrCat(base, "/", guest, "/0/state")).value_or("") == "4") ++connected;
    }
  }
  status.set_connected_guests(connected);
  return view;
}

}  // namespace librettos::daemon
