// Keeps every guest as its specification wants it, and carries out mode changes (docs/protocols.md). Loop
// thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/connections.h"
#include "daemon/model.h"
#include "daemon/nic_reconciler.h"
#include "daemon/operations.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

class GuestReconciler {
 public:
  GuestReconciler(Scheduler& scheduler, hypervisor::Hypervisor& hypervisor, Model& model,
                  Operations& operations, Connections& connections, NicReconciler& nics)
      : scheduler_(scheduler),
        hypervisor_(hypervisor),
        model_(model),
        operations_(operations),
        connections_(connections),
        nics_(nics) {}

  // After start-up: Adopt says that the record's domain runs; Resume acts on what is missing.
  void Adopt(const std::string& guest);
  void Resume(const std::string& guest);

  void Reconcile(const std::string& guest);
  void Delete(const std::string& guest);
  // What `control/mode` is to say. A change and this are written down together, so that a successor of the
  // daemon says it, too.
  static std::string ControlMode(const GuestRecord& record, v1::Mode target, uint32_t number,
                                 int64_t deadline_ms);
  // The record's change is set and committed.
  void StartModeChange(const std::string& guest);

  void OnDomainExit(const std::string& guest, uint32_t domain, const hypervisor::DomainExit& exit);
  void OnDomainConnected(const std::string& guest, uint32_t domain);
  void OnKey(const std::string& guest, uint32_t domain, absl::string_view key);
  void OnDeviceReturned(const std::string& guest, uint32_t domain, const std::string& nic);
  // A NIC's address became known: guests that share it may be waiting for it.
  void OnNicLearned();

  v1::Guest View(const std::string& guest) const;

 private:
  struct Runtime {
    bool connected = false;
    bool destroying = false;
    absl::Duration started;
    absl::Duration spawn_not_before;
    int short_lives = 0;
    std::string message;
    std::string mode;  // data/mode as last seen.
    v1::GuestStatus::Transition transition = v1::GuestStatus::TRANSITION_UNSPECIFIED;
    Scheduler::TimerId spawn_timer = 0, change_timer = 0;
  };
  bool Spawn(GuestRecord& record, Runtime& runtime);
  void SpawnAt(const std::string& guest, Runtime& runtime, absl::Duration when);
  void BackOff(Runtime& runtime);
  std::string Complaint(const GuestRecord& record) const;
  void OnMode(GuestRecord& record, Runtime& runtime);
  void EndChange(GuestRecord& record, Runtime& runtime);
  void ArmChangeDeadline(GuestRecord& record, Runtime& runtime);
  void OnChangeDeadline(const std::string& guest);
  void WriteMode(GuestRecord& record, v1::Mode target, uint32_t number, int64_t deadline_ms);
  void TakeNicBack(GuestRecord& record, uint32_t domain);
  // After a change to direct mode that failed: a NIC that comes only now has nobody who uses it.
  void RecallNic(GuestRecord& record);
  void EraseIfGone(const std::string& guest);

  Scheduler& scheduler_;
  hypervisor::Hypervisor& hypervisor_;
  Model& model_;
  Operations& operations_;
  Connections& connections_;
  NicReconciler& nics_;
  std::map<std::string, Runtime> runtime_;
};

}  // namespace librettos::daemon
