// The whole of the daemon's logic behind one object: model, reconcilers and what the hypervisor tells. Loop
// thread only.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "daemon/connections.h"
#include "daemon/guest_reconciler.h"
#include "daemon/model.h"
#include "daemon/nic_reconciler.h"
#include "daemon/operations.h"
#include "daemon/scheduler.h"
#include "daemon/server_reconciler.h"
#include "daemon/store.h"
#include "daemon/watch.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

class Controller : public hypervisor::DomainObserver {
 public:
  Controller(Scheduler& scheduler, hypervisor::Hypervisor& hypervisor, Store& store, WatchHub& hub);
  ~Controller() override;

  // Reads the state and takes over what runs. To be called before the loop runs: no domain may see a key of
  // its predecessor's missing. An error: the state cannot be used, and nothing was touched.
  absl::Status Recover();
  // Destroys all domains; the specification stays, so that the next daemon starts them again. CloseNics
  // follows once idle().
  void DestroyAll();
  void CloseNics();
  // No domain is left.
  bool idle() const { return model.owner_of_domain.empty(); }

  // hypervisor::DomainObserver
  void OnDomainExit(hypervisor::DomainId domain, const hypervisor::DomainExit& exit) override;
  void OnDomainConnected(hypervisor::DomainId domain) override;
  void OnDeviceReturned(hypervisor::DomainId domain, const std::string& nic) override;
  void OnNicTrouble(const std::string& nic, const std::string& what) override;
  void OnDomainViolation(hypervisor::DomainId domain, const std::string& reason) override;

  Scheduler& scheduler;
  hypervisor::Hypervisor& hypervisor;
  WatchHub& hub;
  Model model;
  Operations operations;
  Connections connections;
  NicReconciler nics;
  ServerReconciler servers;
  GuestReconciler guests;

 private:
  void OnRegistry(const std::string& path);
  bool stopping_ = false;
};

}  // namespace librettos::daemon
