// Keeps NICs open and with the domain that is to have them. Loop thread only.
//
// Who owns a NIC follows from the model: the server whose specification names it (first or standby), or the
// guest that was given it.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "daemon/model.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

class NicReconciler {
 public:
  NicReconciler(Scheduler& scheduler, hypervisor::Hypervisor& hypervisor, Model& model)
      : scheduler_(scheduler), hypervisor_(hypervisor), model_(model) {}

  // Opens what is not open; tried again by itself. Called after start-up and whenever a domain has connected,
  // as a domain may hold the descriptor that the daemon's predecessor had.
  void OpenAll();
  absl::Status Open(const std::string& name);
  absl::Status Close(const std::string& name);
  bool is_open(const std::string& name) const;

  // The domain is to have the NIC: now if it can be, else as soon as it is open.
  void Give(const std::string& name, uint32_t domain, const std::string& address);
  // The domain has it already (given by a predecessor of the daemon).
  void AssumeGiven(const std::string& name, uint32_t domain);
  // What is given to the domain shall not get there any more, if it has not yet; see Hypervisor::RecallNic.
  // True: it was not even under way, and the caller may withdraw it.
  bool Recall(const std::string& name, uint32_t domain);
  // The domain is gone or gave it back.
  void Withdraw(const std::string& name, uint32_t domain);

  // What keeps a given NIC from getting to its domain; empty: nothing any more.
  void OnTrouble(const std::string& name, const std::string& what);

  // "servers/{id}" or "guests/{id}", or empty.
  std::string OwnerOf(const std::string& name) const;
  // First in the order of names that is open and nobody's; empty: none.
  std::string FirstFree() const;
  v1::Nic View(const std::string& name) const;
  // Called when a NIC's hardware address or MTU became known or changed.
  void OnLearned(std::function<void(const std::string& name)> callback) { learned_ = std::move(callback); }

 private:
  struct Runtime {
    bool open = false;
    std::string error;
    uint32_t holder = 0;  // Domain that is to have it.
    std::string address;
    bool given = false;
  };
  void TryGive(const std::string& name, Runtime& runtime);
  void ArmRetry();

  Scheduler& scheduler_;
  hypervisor::Hypervisor& hypervisor_;
  Model& model_;
  std::map<std::string, Runtime> runtime_;
  Scheduler::TimerId retry_ = 0;
  absl::Duration retry_delay_ = absl::Milliseconds(50);
  std::function<void(const std::string& name)> learned_ = [](const std::string&) {};
};

}  // namespace librettos::daemon
