// Planned upgrade (docs/protocols.md): the part of ServerReconciler that hands over to a new binary and back.
//
// Slots: until the hand-over the new domain is `successor` and the old one `active`; from then on the new one
// is `active` and the old one `previous`. A standby, if there is one, stays aside and takes over if both are
// gone.
#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "daemon/server_reconciler.h"
#include "guest/platform/fault_point.h"

namespace librettos::daemon {

void ServerReconciler::ArmUpgradeDeadline(ServerRecord& record, Runtime& runtime) {
  scheduler_.Cancel(runtime.upgrade_timer);
  std::string server = record.resource().name();
  runtime.upgrade_timer = scheduler_.After(absl::Milliseconds(record.upgrade().health_timeout_ms()),
                                           [this, server] { OnUpgradeDeadline(server); });
}

void ServerReconciler::StartUpgrade(const std::string& server) {
  ServerRecord& record = *model_.FindServer(server);
  Runtime& runtime = runtime_[server];
  // The new one takes the second NIC over from the standby, whose place it is about to take anyway.
  if (!record.standby().nic().empty()) Destroy(runtime, record.standby().id());
  if (!Spawn(record, runtime, *record.mutable_successor(), record.upgrade().image())) {
    return EndUpgrade(record, runtime, runtime.message);
  }
  ArmUpgradeDeadline(record, runtime);
}

void ServerReconciler::AdvanceUpgrade(ServerRecord& record, Runtime& runtime) {
  if (record.upgrade().operation().empty()) return;
  switch (record.upgrade().step()) {
    case Upgrade::WAITING_READY: {
      auto successor = runtime.domains.find(record.successor().id());
      if (successor == runtime.domains.end() || successor->second.ready < 2) return;
      // Without an active domain there is nobody to hand over: the failover that is under way comes first,
      // and it may well be to the new one.
      if (record.active().id() == 0) return HandOver(record, runtime);
      record.mutable_upgrade()->set_step(Upgrade::QUIESCING);
      record.mutable_active()->set_role(absl::StrCat("quiesced ", record.epoch()));
      // Written down before it happens: a successor of this daemon must know that the old one may have
      // stopped.
      if (!model_.Commit().ok())
        return RevertUpgrade(record, runtime, "the daemon's state could not be written");
      FAULT_POINT("daemon.upgrade-recorded");
      operations_.Step(record.upgrade().operation(), "handing over");
      runtime.notice = scheduler_.Monotonic();
      runtime.measuring = true;
      connections_.WriteRole(record.active().id(), record.active().role());
      FAULT_POINT("daemon.quiesce-written");
      ArmUpgradeDeadline(record, runtime);
      return;
    }
    case Upgrade::QUIESCING:
      if (record.active().id() != 0 && runtime.domains[record.active().id()].role == record.active().role()) {
        HandOver(record, runtime);
      }
      return;
    case Upgrade::ACTIVATING:
      if (record.active().id() != 0 && runtime.forwarding &&
          runtime.domains[record.active().id()].healthy == record.epoch()) {
        FinishUpgrade(record, runtime);
      }
      return;
    default:
      return;
  }
}

void ServerReconciler::HandOver(ServerRecord& record, Runtime& runtime) {
  DomainRecord successor = record.successor();
  record.clear_successor();
  if (record.active().id() != 0) {
    *record.mutable_previous() = record.active();
    // It returned its NIC before it said that it is quiesced.
    record.mutable_previous()->clear_nic();
    record.mutable_active()->clear_nic();
  }
  record.mutable_upgrade()->set_step(Upgrade::ACTIVATING);
  FAULT_POINT("daemon.quiesced");
  Activate(record, runtime, successor);
  FAULT_POINT("daemon.handed-over");
  operations_.Step(record.upgrade().operation(), "waiting for the new server to be healthy");
  ArmUpgradeDeadline(record, runtime);
}

void ServerReconciler::FinishUpgrade(ServerRecord& record, Runtime& runtime) {
  FAULT_POINT("daemon.upgraded");
  std::string operation = record.upgrade().operation();
  record.mutable_resource()->mutable_spec()->set_image(record.upgrade().image());
  record.mutable_resource()->set_etag(model_.NextEtag());
  record.set_upgrades(record.upgrades() + 1);
  record.clear_upgrade();
  scheduler_.Cancel(runtime.upgrade_timer);
  Destroy(runtime, record.previous().id());
  Destroy(runtime, record.standby().id());  // Of the old binary; Reconcile starts one of the new.
  operations_.Succeed(operation, "the new server forwards", runtime.pause);
  model_.MarkDirty();
  model_.Changed(record.resource().name());
}

void ServerReconciler::OnUpgradeDeadline(const std::string& server) {
  ServerRecord* record = model_.FindServer(server);
  if (record == nullptr || record->upgrade().operation().empty()) return;
  Runtime& runtime = runtime_[server];
  runtime.upgrade_timer = 0;
  std::string timeout = absl::FormatDuration(absl::Milliseconds(record->upgrade().health_timeout_ms()));
  switch (record->upgrade().step()) {
    case Upgrade::WAITING_READY:
      return EndUpgrade(*record, runtime, absl::StrCat("the new server was not ready within ", timeout));
    case Upgrade::QUIESCING:
      // It neither hands over nor dies: it is replaced, by the new one, as it stands ready.
      Log(Level::kWarning, "old server does not hand over and is killed", {{"server", server}});
      return Destroy(runtime, record->active().id());
    case Upgrade::ACTIVATING:
      return RevertUpgrade(*record, runtime, absl::StrCat("the new server was not healthy within ", timeout));
    default:
      return;
  }
}

// The new one is to go. It must be dead before the old one gets the NIC: two must never forward.
void ServerReconciler::RevertUpgrade(ServerRecord& record, Runtime& runtime, const std::string& why) {
  Upgrade& upgrade = *record.mutable_upgrade();
  upgrade.set_failure(why);
  bool handed_over = upgrade.step() == Upgrade::ACTIVATING;
  if (!handed_over) return EndUpgrade(record, runtime, why);
  upgrade.set_step(Upgrade::REVERTING);
  scheduler_.Cancel(runtime.upgrade_timer);
  operations_.Step(upgrade.operation(), absl::StrCat("going back: ", why));
  runtime.notice = scheduler_.Monotonic();
  runtime.measuring = true;
  model_.MarkDirty();
  Destroy(runtime, record.active().id());
}

// Ends it as failed; what runs goes on. A quiesced active domain is activated again.
void ServerReconciler::EndUpgrade(ServerRecord& record, Runtime& runtime, const std::string& failure) {
  std::string operation = record.upgrade().operation();
  bool quiesced = record.upgrade().step() == Upgrade::QUIESCING;
  record.clear_upgrade();
  scheduler_.Cancel(runtime.upgrade_timer);
  runtime.upgrade_timer = 0;
  if (record.successor().id() != 0) Destroy(runtime, record.successor().id());
  if (quiesced && record.active().id() != 0) {
    record.mutable_active()->clear_nic();  // It may have returned it.
    Activate(record, runtime, record.active());
  }
  operations_.Fail(operation, absl::StrCat(failure, "; the server in use was not changed"));
  model_.MarkDirty();
  model_.Changed(record.resource().name());
}

// The dead domain's slot is empty already.
bool ServerReconciler::DeathDuringUpgrade(ServerRecord& record, Runtime& runtime, const std::string& how) {
  if (record.upgrade().operation().empty()) return false;
  switch (record.upgrade().step()) {
    case Upgrade::WAITING_READY:
      if (record.successor().id() == 0) {
        EndUpgrade(record, runtime, absl::StrCat("the new server ended: ", how));
        return true;
      }
      return false;  // Ordinary failover; the upgrade goes on with whoever is active then.
    case Upgrade::QUIESCING:
      if (record.active().id() == 0) {  // The old one died: to the new one, which is ready.
        record.set_failovers(record.failovers() + 1);
        HandOver(record, runtime);
        return true;
      }
      if (record.successor().id() == 0) {
        EndUpgrade(record, runtime, absl::StrCat("the new server ended: ", how));
        return true;
      }
      return false;
    case Upgrade::ACTIVATING:
      if (record.active().id() == 0) {
        record.mutable_upgrade()->set_failure(absl::StrCat("the new server ended: ", how));
      }
      [[fallthrough]];
    case Upgrade::REVERTING: {
      if (record.active().id() != 0) return true;  // The old one (or the standby) died; the new one goes on.
      std::string failure = record.upgrade().failure();
      DomainRecord previous = record.previous();
      record.clear_previous();
      if (previous.id() != 0) Activate(record, runtime, previous);
      std::string operation = record.upgrade().operation();
      record.clear_upgrade();
      scheduler_.Cancel(runtime.upgrade_timer);
      operations_.Fail(operation, previous.id() != 0
                                      ? absl::StrCat(failure, "; the old server took over again")
                                      : absl::StrCat(failure, "; the old server was gone as well"));
      return previous.id() != 0;
    }
    default:
      return false;
  }
}

void ServerReconciler::ResumeUpgrade(ServerRecord& record, Runtime& runtime) {
  if (record.upgrade().operation().empty()) return;
  switch (record.upgrade().step()) {
    case Upgrade::WAITING_READY:
      return EndUpgrade(record, runtime, "librettosd was restarted before the new server was ready");
    case Upgrade::QUIESCING:
      // The role was written again with the keys; the old one's word, re-declared, moves it on.
      runtime.notice = scheduler_.Monotonic();
      runtime.measuring = true;
      return ArmUpgradeDeadline(record, runtime);
    case Upgrade::ACTIVATING:
      return ArmUpgradeDeadline(record, runtime);
    case Upgrade::REVERTING:
      return Destroy(runtime, record.active().id());
    default:
      return;
  }
}

}  // namespace librettos::daemon
