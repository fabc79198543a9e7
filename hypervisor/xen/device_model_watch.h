// Tells when the device model of a domain has ended: nothing else does. Without it the domain stands still at
// its next access to a port or to configuration space, and keeps what it has.
//
// Loop thread only.
#pragma once

#include <functional>
#include <map>

#include "hypervisor/event_loop.h"
#include "hypervisor/hypervisor.h"

namespace librettos::xen {

class DeviceModelWatch {
 public:
  using Ended = std::function<void(hypervisor::DomainId)>;

  DeviceModelWatch(EventLoop& loop, Ended ended) : loop_(loop), ended_(std::move(ended)) {}
  ~DeviceModelWatch();
  DeviceModelWatch(const DeviceModelWatch&) = delete;

  // `pid`: as recorded (DeviceModelPid). `ended` is called once, from the loop; also for one that is gone
  // already.
  void Add(hypervisor::DomainId domain, int32_t pid);
  void Remove(hypervisor::DomainId domain);  // Nothing is told of it any more.

 private:
  void OnEnd(hypervisor::DomainId domain);

  EventLoop& loop_;
  const Ended ended_;
  std::map<hypervisor::DomainId, int> processes_;  // Descriptors; -1: gone already, to be told.
};

}  // namespace librettos::xen
