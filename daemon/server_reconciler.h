// Keeps every network server as its specification wants it: one active domain, one standby; failover and
// planned upgrade as in docs/protocols.md. Loop thread only; nothing here waits.
//
// The fast path is OnDomainExit of an active domain: a number from memory, the NIC, one registry key. Writing
// to disk, removing what is left of the dead domain and starting a new standby come after it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/connections.h"
#include "daemon/model.h"
#include "daemon/nic_reconciler.h"
#include "daemon/operations.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

class ServerReconciler {
 public:
  ServerReconciler(Scheduler& scheduler, hypervisor::Hypervisor& hypervisor, Model& model,
                   Operations& operations, Connections& connections, NicReconciler& nics)
      : scheduler_(scheduler),
        hypervisor_(hypervisor),
        model_(model),
        operations_(operations),
        connections_(connections),
        nics_(nics) {}

  // After start-up, in this order: Adopt says that a domain of the record runs (writes its keys); Resume acts
  // on what is missing.
  void Adopt(const std::string& server, uint32_t domain);
  void Resume(const std::string& server);

  void Reconcile(const std::string& server);
  // Destroys all domains; the record goes with the last one.
  void Delete(const std::string& server);
  // Kills the active domain. The caller has checked that there is one.
  void FailActive(const std::string& server);
  // The record's upgrade is set and committed, in step WAITING_READY.
  void StartUpgrade(const std::string& server);

  void OnDomainExit(const std::string& server, uint32_t domain, const hypervisor::DomainExit& exit);
  void OnDomainConnected(const std::string& server, uint32_t domain);
  // `key` is relative to the domain, e.g. "data/role".
  void OnKey(const std::string& server, uint32_t domain, absl::string_view key);

  v1::NetworkServer View(const std::string& server) const;
  bool forwards(const std::string& server) const;

 private:
  struct Domain {
    bool connected = false;
    std::string role;  // As the domain declares it.
    int ready = 0;
    uint32_t healthy = 0;
    absl::Duration started;
    uint64_t heartbeat = 0;
    bool beating = false;  // Its heartbeat was ever read.
    absl::Duration beat_at;
    int stale_polls = 0;
    bool destroying = false;
  };
  struct Runtime {
    std::map<uint32_t, Domain> domains;
    std::string message;
    bool failing_over = false;
    absl::Duration
        notice;  // When the death was noticed, or the hand-over began. Meaningful while `measuring`.
    bool measuring = false;
    bool forwarding = false;  // The active domain took its role.
    absl::Duration activated;
    absl::Duration spawn_not_before;
    int short_lives = 0;
    absl::Duration pause;  // Of the upgrade under way.
    Scheduler::TimerId reconcile_timer = 0, upgrade_timer = 0, heartbeat_timer = 0;
  };

  bool Spawn(ServerRecord& record, Runtime& runtime, DomainRecord& slot, const std::string& image);
  void Activate(ServerRecord& record, Runtime& runtime, DomainRecord domain);
  void ReconcileAt(const std::string& server, Runtime& runtime, absl::Duration when);
  void Destroy(Runtime& runtime, uint32_t domain);
  bool IsForwarding(const ServerRecord& record, const Runtime& runtime) const;
  void PollHeartbeats(const std::string& server);
  void ArmHeartbeat(const std::string& server, Runtime& runtime);
  void BackOff(Runtime& runtime, bool short_life);
  void AfterDeath(ServerRecord& record, Runtime& runtime, uint32_t domain);
  void OnRole(ServerRecord& record, Runtime& runtime, uint32_t domain);
  void EraseIfGone(const std::string& server);

  // server_nics.cc: servers with a standby NIC. The two NICs belong to the domains' slots of the record.
  // The one that none of the server's domains has; empty: both are taken.
  static std::string FreeNic(const ServerRecord& record);
  // Gives the free NIC to the domain in `slot`, to hold it until it is activated. Does nothing for a server
  // without a standby NIC, and if none is free.
  void GiveAhead(const ServerRecord& record, DomainRecord& slot);
  // For its activation: what it does not have yet.
  void GiveForActivation(const ServerRecord& record, DomainRecord& domain);
  void WithdrawNics(const ServerRecord& record, uint32_t domain);
  // After a death: to those that have none yet.
  void GiveWhatIsFree(ServerRecord& record, Runtime& runtime);

  // server_upgrade.cc
  void AdvanceUpgrade(ServerRecord& record, Runtime& runtime);
  void HandOver(ServerRecord& record, Runtime& runtime);
  void FinishUpgrade(ServerRecord& record, Runtime& runtime);
  void RevertUpgrade(ServerRecord& record, Runtime& runtime, const std::string& why);
  void EndUpgrade(ServerRecord& record, Runtime& runtime, const std::string& failure);
  void ResumeUpgrade(ServerRecord& record, Runtime& runtime);
  void OnUpgradeDeadline(const std::string& server);
  void ArmUpgradeDeadline(ServerRecord& record, Runtime& runtime);
  // True: the death was the upgrade's to handle, and has been.
  bool DeathDuringUpgrade(ServerRecord& record, Runtime& runtime, const std::string& how);

  Scheduler& scheduler_;
  hypervisor::Hypervisor& hypervisor_;
  Model& model_;
  Operations& operations_;
  Connections& connections_;
  NicReconciler& nics_;
  std::map<std::string, Runtime> runtime_;
};

}  // namespace librettos::daemon
