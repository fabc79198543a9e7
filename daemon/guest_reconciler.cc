#include "daemon/guest_reconciler.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/convert.h"
#include "daemon/log.h"
#include "daemon/mode_report.h"
#include "daemon/names.h"
#include "guest/platform/fault_point.h"

namespace librettos::daemon {
namespace {

constexpr absl::Duration kBackOff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackOff = absl::Seconds(10);
constexpr absl::Duration kShortLife = absl::Seconds(1);
// The guest itself keeps the deadline; this is for its answer to arrive.
constexpr absl::Duration kSlack = absl::Seconds(1);

}  // namespace

void GuestReconciler::Adopt(const std::string& guest) {
  GuestRecord& record = *model_.FindGuest(guest);
  Runtime& runtime = runtime_[guest];
  runtime.started = scheduler_.Monotonic();
  model_.owner_of_domain[record.domain()] = guest;
  if (!record.nic().empty()) nics_.AssumeGiven(record.nic(), record.domain());
  connections_.WriteGuestKeys(record);
}

void GuestReconciler::Resume(const std::string& guest) {
  GuestRecord& record = *model_.FindGuest(guest);
  if (record.domain() != 0 && !model_.owner_of_domain.contains(record.domain())) {
    OnDomainExit(guest, record.domain(),
                 {.orderly = false, .description = "died while librettosd was not running"});
    return;
  }
  if (record.deleting()) return Delete(guest);
  if (!record.change().operation().empty()) ArmChangeDeadline(record, runtime_[guest]);
  Reconcile(guest);
}

void GuestReconciler::Reconcile(const std::string& guest) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || record->deleting() || record->stopped() || record->domain() != 0) return;
  Runtime& runtime = runtime_[guest];
  absl::Duration now = scheduler_.Monotonic();
  if (now < runtime.spawn_not_before) return SpawnAt(guest, runtime, runtime.spawn_not_before);
  if (connections_.MacOf(*record).empty()) {
    runtime.message = "the NIC of its server was never open, so that its hardware address is not known";
    model_.Changed(guest);
    return;  // OnNicLearned comes back to it.
  }
  if (!Spawn(*record, runtime)) SpawnAt(guest, runtime, runtime.spawn_not_before);
}

void GuestReconciler::SpawnAt(const std::string& guest, Runtime& runtime, absl::Duration when) {
  scheduler_.Cancel(runtime.spawn_timer);
  absl::Duration delay = std::max(when - scheduler_.Monotonic(), absl::ZeroDuration());
  runtime.spawn_timer = scheduler_.After(delay, [this, guest] {
    auto it = runtime_.find(guest);
    if (it == runtime_.end()) return;
    it->second.spawn_timer = 0;
    Reconcile(guest);
  });
}

void GuestReconciler::BackOff(Runtime& runtime) {
  runtime.spawn_not_before =
      scheduler_.Monotonic() + std::min(kBackOff * (1 << std::min(runtime.short_lives, 10)), kMaxBackOff);
  ++runtime.short_lives;
}

bool GuestReconciler::Spawn(GuestRecord& record, Runtime& runtime) {
  const std::string& guest = record.resource().name();
  const v1::GuestSpec& spec = record.resource().spec();
  hypervisor::DomainConfig config;
  config.name = guest;
  config.kind = hypervisor::DomainKind::kGuest;
  config.image = spec.image();
  config.arguments.assign(spec.arguments().begin(), spec.arguments().end());
  config.files = spec.files();
  config.memory_mib = spec.memory_mib();
  config.vcpus = spec.vcpus();
  auto id = hypervisor_.Create(config);
  if (!id.ok()) {
    runtime.message = absl::StrCat("it could not be started: ", id.status().message());
    Log(Level::kError, "guest cannot be started",
        {{"guest", guest}, {"error", std::string(id.status().message())}});
    BackOff(runtime);
    model_.Changed(guest);
    return false;
  }
  FAULT_POINT("daemon.guest-spawned");
  model_.DomainIdUsed(*id);
  model_.owner_of_domain[*id] = guest;
  record.set_domain(*id);
  record.set_mode(v1::SERVER);
  record.clear_control_mode();
  runtime.started = scheduler_.Monotonic();
  runtime.connected = false;
  runtime.destroying = false;
  runtime.message.clear();
  runtime.mode.clear();
  runtime.transition = v1::GuestStatus::TRANSITION_UNSPECIFIED;
  connections_.WriteGuestKeys(record);
  Log(Level::kInfo, "guest started", {{"guest", guest}, {"domain", absl::StrCat(*id)}});
  model_.MarkDirty();
  model_.Changed(guest);
  return true;
}

void GuestReconciler::Delete(const std::string& guest) {
  GuestRecord& record = *model_.FindGuest(guest);
  Runtime& runtime = runtime_[guest];
  if (record.domain() != 0 && !runtime.destroying) {
    runtime.destroying = true;
    absl::Status status = hypervisor_.Destroy(record.domain());
    if (!status.ok()) {
      Log(Level::kError, "guest cannot be destroyed",
          {{"guest", guest}, {"error", std::string(status.message())}});
    }
  }
  model_.Changed(guest);
  EraseIfGone(guest);
}

void GuestReconciler::EraseIfGone(const std::string& guest) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || !record->deleting() || record->domain() != 0) return;
  if (auto it = runtime_.find(guest); it != runtime_.end()) {
    scheduler_.Cancel(it->second.spawn_timer);
    scheduler_.Cancel(it->second.change_timer);
    runtime_.erase(it);
  }
  std::string name = guest;
  model_.guests.erase(name);
  model_.MarkDirty();
  model_.Changed(name);
}

void GuestReconciler::TakeNicBack(GuestRecord& record, uint32_t domain) {
  if (record.nic().empty()) return;
  std::string nic = record.nic();
  FAULT_POINT("daemon.nic-back");
  record.clear_nic();
  nics_.Withdraw(nic, domain);
  model_.MarkDirty();
  model_.Changed(nic);
}

void GuestReconciler::OnDomainExit(const std::string& guest, uint32_t domain,
                                   const hypervisor::DomainExit& exit) {
  GuestRecord* found = model_.FindGuest(guest);
  if (found == nullptr || found->domain() != domain) return;
  GuestRecord& record = *found;
  Runtime& runtime = runtime_[guest];
  absl::Duration lived = scheduler_.Monotonic() - runtime.started;
  record.set_domain(0);
  record.set_last_exit(exit.description);
  record.set_mode(v1::SERVER);
  record.clear_control_mode();
  runtime.connected = false;
  runtime.transition = v1::GuestStatus::TRANSITION_UNSPECIFIED;
  runtime.mode.clear();
  TakeNicBack(record, domain);
  connections_.ForgetGuest(record, domain);
  if (!record.change().operation().empty()) {
    operations_.Fail(record.change().operation(),
                     absl::StrCat("the guest ended: ", exit.description, "; the NIC was taken back"));
    EndChange(record, runtime);
  }
  Log(exit.orderly ? Level::kInfo : Level::kWarning, "guest ended",
      {{"guest", guest}, {"domain", absl::StrCat(domain)}, {"how", exit.description}});
  model_.MarkDirty();
  model_.Changed(guest);
  if (record.deleting()) return EraseIfGone(guest);
  if (record.resource().spec().restart() == v1::GuestSpec::NEVER) {
    record.set_stopped(true);
    runtime.message = absl::StrCat("it ended (", exit.description, ") and is not to be started again");
    return;
  }
  record.set_restarts(record.restarts() + 1);
  if (lived < kShortLife) {
    BackOff(runtime);
    runtime.message =
        absl::StrCat("it ended (", exit.description, ") soon after its start; it is started again");
  } else {
    runtime.short_lives = 0;
    runtime.spawn_not_before = scheduler_.Monotonic();
  }
  Reconcile(guest);
}

void GuestReconciler::OnDomainConnected(const std::string& guest, uint32_t domain) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || record->domain() != domain) return;
  runtime_[guest].connected = true;
  // A predecessor of the daemon may have died before it gave the NIC; who has it gets nothing.
  if (!record->change().operation().empty() && record->change().target() == v1::DIRECT &&
      !record->nic().empty()) {
    nics_.Give(record->nic(), domain, record->mac());
  }
  model_.Changed(guest);
}

void GuestReconciler::OnKey(const std::string& guest, uint32_t domain, absl::string_view key) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || record->domain() != domain) return;
  if (key == "data/violation") model_.Changed(guest);
  if (key != "data/mode") return;
  Runtime& runtime = runtime_[guest];
  std::string value = hypervisor_.Read(absl::StrCat(DomainPath(domain), "/data/mode")).value_or("");
  if (value == runtime.mode) return;
  runtime.mode = value;
  OnMode(*record, runtime);
}

void GuestReconciler::OnMode(GuestRecord& record, Runtime& runtime) {
  auto report = ParseModeReport(runtime.mode);
  if (!report.has_value()) return;
  const std::string guest = record.resource().name();
  // A guest without a NIC of its own cannot be direct, whatever it says.
  if (report->mode == v1::DIRECT && record.nic().empty()) return;
  bool changed =
      report->transition == v1::GuestStatus::TRANSITION_UNSPECIFIED && record.mode() != report->mode;
  runtime.transition = report->transition;
  if (report->transition == v1::GuestStatus::TRANSITION_UNSPECIFIED) record.set_mode(report->mode);
  if (changed) {
    FAULT_POINT("daemon.mode-changed");
    record.set_mode_changes(record.mode_changes() + 1);
    *record.mutable_last_pause() = ToProto(absl::Microseconds(report->pause_us));
  }
  model_.MarkDirty();
  model_.Changed(guest);
  const ModeChange& change = record.change();
  if (change.operation().empty() || report->change != change.number()) return;
  if (report->transition != v1::GuestStatus::TRANSITION_UNSPECIFIED) {
    return operations_.Step(change.operation(), "the guest is preparing");
  }
  std::string operation = change.operation();
  if (report->mode == change.target()) {
    std::string text =
        report->lost == 0 ? "changed" : absl::StrCat("changed; ", report->lost, " frames were lost");
    operations_.Succeed(operation, text, absl::Microseconds(report->pause_us));
  } else {
    operations_.Fail(operation, absl::StrCat("the guest stayed in its mode: ",
                                             report->reason.empty() ? "it gave no reason" : report->reason));
  }
  const bool failed_direct = report->mode != change.target() && change.target() == v1::DIRECT;
  EndChange(record, runtime);
  if (failed_direct) RecallNic(record);
}

void GuestReconciler::RecallNic(GuestRecord& record) {
  if (!record.nic().empty() && nics_.Recall(record.nic(), record.domain())) {
    TakeNicBack(record, record.domain());
  }
}

void GuestReconciler::EndChange(GuestRecord& record, Runtime& runtime) {
  record.clear_change();
  scheduler_.Cancel(runtime.change_timer);
  runtime.change_timer = 0;
  model_.MarkDirty();
}

std::string GuestReconciler::ControlMode(const GuestRecord& record, v1::Mode target, uint32_t number,
                                         int64_t deadline_ms) {
  const bool direct = target == v1::DIRECT;
  return absl::StrCat(direct ? "direct " : "server ", number, " ", deadline_ms, " ",
                      direct ? IdOf(record.nic()) : "-");
}

void GuestReconciler::WriteMode(GuestRecord& record, v1::Mode target, uint32_t number, int64_t deadline_ms) {
  record.set_control_mode(ControlMode(record, target, number, deadline_ms));
  hypervisor_.Write(absl::StrCat(DomainPath(record.domain()), "/control/mode"), record.control_mode());
  model_.MarkDirty();
}

void GuestReconciler::StartModeChange(const std::string& guest) {
  GuestRecord& record = *model_.FindGuest(guest);
  Runtime& runtime = runtime_[guest];
  const ModeChange& change = record.change();
  if (change.target() == v1::DIRECT) nics_.Give(record.nic(), record.domain(), record.mac());
  FAULT_POINT("daemon.mode-recorded");
  WriteMode(record, change.target(), change.number(), change.deadline_ms());
  FAULT_POINT("daemon.mode-written");
  ArmChangeDeadline(record, runtime);
  model_.Changed(guest);
}

void GuestReconciler::ArmChangeDeadline(GuestRecord& record, Runtime& runtime) {
  scheduler_.Cancel(runtime.change_timer);
  std::string guest = record.resource().name();
  runtime.change_timer = scheduler_.After(absl::Milliseconds(record.change().deadline_ms()) + kSlack,
                                          [this, guest] { OnChangeDeadline(guest); });
}

void GuestReconciler::OnChangeDeadline(const std::string& guest) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || record->change().operation().empty()) return;
  Runtime& runtime = runtime_[guest];
  runtime.change_timer = 0;
  ModeChange change = record->change();
  operations_.Fail(change.operation(),
                   "the guest did not answer within the deadline; it was told to stay as it was");
  EndChange(*record, runtime);
  // If it ever wakes up it shall settle where it came from. A NIC that it was given stays with it until it
  // returns it or dies: it may hold the device.
  WriteMode(*record, change.target() == v1::DIRECT ? v1::SERVER : v1::DIRECT, model_.NextChange(),
            change.deadline_ms());
  runtime.message = "the last mode change was not answered";
  if (change.target() == v1::DIRECT) RecallNic(*record);
  model_.Changed(guest);
}

void GuestReconciler::OnDeviceReturned(const std::string& guest, uint32_t domain, const std::string& nic) {
  GuestRecord* record = model_.FindGuest(guest);
  if (record == nullptr || record->domain() != domain || record->nic() != absl::StrCat("nics/", nic)) return;
  TakeNicBack(*record, domain);
  model_.Changed(guest);
}

void GuestReconciler::OnNicLearned() {
  for (const auto& [name, record] : model_.guests) {
    if (record.domain() == 0) Reconcile(name);
  }
}

// What it says of its servers, docs/protocols.md, `data/violation`; it may be lying. Empty: nothing.
std::string GuestReconciler::Complaint(const GuestRecord& record) const {
  if (record.domain() == 0) return "";
  const auto value = hypervisor_.Read(absl::StrCat(DomainPath(record.domain()), "/data/violation"));
  if (!value.ok()) return "";
  const std::vector<std::string> words = absl::StrSplit(*value, ' ');
  uint64_t count;
  constexpr char kNameLetters[] = "abcdefghijklmnopqrstuvwxyz-";
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &count) || words[1].size() > 20 ||
      words[1].find_first_not_of(kNameLetters) != std::string::npos) {
    return "";
  }
  return absl::StrCat("its server broke the channel's rules: ", words[1], "; ", count,
                      count == 1 ? " time" : " times", " so far");
}

v1::Guest GuestReconciler::View(const std::string& guest) const {
  const GuestRecord& record = *model_.FindGuest(guest);
  v1::Guest view = record.resource();
  v1::GuestStatus& status = *view.mutable_status();
  static const Runtime kNone;
  auto it = runtime_.find(guest);
  const Runtime& runtime = it == runtime_.end() ? kNone : it->second;
  status.set_message(runtime.message);
  const ServerRecord* server = model_.FindServer(record.resource().spec().server());
  uint32_t active = server == nullptr ? 0 : server->active().id();
  std::string channel;
  if (active != 0 && record.domain() != 0) {
    channel = hypervisor_.Read(absl::StrCat(DomainPath(active), "/backend/vif/", record.domain(), "/0/state"))
                  .value_or("");
  }
  if (record.deleting()) {
    status.set_state(v1::GuestStatus::DELETING);
  } else if (record.stopped()) {
    status.set_state(v1::GuestStatus::STOPPED);
  } else if (record.domain() == 0) {
    status.set_state(runtime.message.empty() ? v1::GuestStatus::STARTING : v1::GuestStatus::DEGRADED);
  } else if (!runtime.connected) {
    status.set_state(v1::GuestStatus::STARTING);
  } else if (channel == "4") {
    status.set_state(v1::GuestStatus::RUNNING);
  } else {
    status.set_state(v1::GuestStatus::DISCONNECTED);
    if (active == 0) {
      status.set_message("its server has no active domain");
    } else if (channel == "6") {
      auto error =
          hypervisor_.Read(absl::StrCat(DomainPath(active), "/backend/vif/", record.domain(), "/0/error"));
      status.set_message(absl::StrCat("its channel was closed: ", error.value_or("unknown").substr(0, 100)));
    } else {
      status.set_message("its channel is not connected yet");
    }
  }
  if (const std::string complaint = Complaint(record); !complaint.empty()) {
    const char* separator = status.message().empty() ? "" : "; ";
    status.mutable_message()->append(separator).append(complaint);
  }
  status.set_domain(record.domain());
  if (record.domain() != 0) status.set_pid(hypervisor_.Pid(record.domain()));
  status.set_mode(record.mode() == v1::MODE_UNSPECIFIED ? v1::SERVER : record.mode());
  status.set_transition(runtime.transition);
  status.set_nic(record.nic());
  status.set_mac(connections_.MacOf(record));
  if (record.has_last_pause()) *status.mutable_last_mode_change_pause() = record.last_pause();
  status.set_mode_changes(record.mode_changes());
  status.set_restarts(record.restarts());
  status.set_last_exit(record.last_exit());
  return view;
}

}  // namespace librettos::daemon
