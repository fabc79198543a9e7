// Builds, starts and destroys domains with libxl. Loop thread only: the work is done by the workers, what is
// asked for one domain in the order in which it is asked for, and the answers come back on the loop.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "hypervisor/event_loop.h"
#include "hypervisor/xen/domain_config.h"
#include "hypervisor/xen/workers.h"

namespace librettos::xen {

class DomainBuilder {
 public:
  using Done = std::function<void(absl::Status)>;

  DomainBuilder(EventLoop& loop, Workers& workers) : loop_(loop), workers_(workers) {}

  // Archives `files` (if not empty) to the plan's disk, and builds the domain, paused. After an error nothing
  // of it is left.
  void Build(const DomainPlan& plan, const std::string& files, Done done);
  void Start(hypervisor::DomainId id, Done done);
  // OK also if it is gone already. `disk` is removed with it.
  void Destroy(hypervisor::DomainId id, const std::string& disk, Done done);

 private:
  void Submit(hypervisor::DomainId id, std::function<absl::Status(LibxlContext&)> work, Done done);

  EventLoop& loop_;
  Workers& workers_;
};

}  // namespace librettos::xen
