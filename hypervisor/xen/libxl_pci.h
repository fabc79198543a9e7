// PciBackend by libxl and the kernel of domain 0. Loop thread only; what blocks for long goes to the workers.
#pragma once

#include <string>

#include "hypervisor/event_loop.h"
#include "hypervisor/xen/libxl_context.h"
#include "hypervisor/xen/pci_devices.h"
#include "hypervisor/xen/workers.h"

namespace librettos::xen {

class LibxlPci final : public PciBackend {
 public:
  // `context` is the loop thread's.
  LibxlPci(EventLoop& loop, LibxlContext& context, Workers& workers)
      : loop_(loop), context_(context), workers_(workers) {}

  absl::StatusOr<PciSysfs> Inspect(const PciAddress& function) override;
  absl::Status MakeAssignable(const PciAddress& function) override;
  absl::Status Release(const PciAddress& function) override;
  void ReleaseAfter(DomainId domain, const PciAddress& function) override;
  void Attach(DomainId domain, const PciAddress& function, Attached done) override;
  void Detach(DomainId domain, const PciAddress& function, std::function<void(absl::Status)> done) override;
  void After(absl::Duration delay, std::function<void()> callback) override;

 private:
  EventLoop& loop_;
  LibxlContext& context_;
  Workers& workers_;
};

}  // namespace librettos::xen
