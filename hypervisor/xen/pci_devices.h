// The NICs on Xen: PCI functions, by the daemon's name, and which domain has each (docs/xen.md, NICs).
//
// Loop thread only. Attaching and detaching take seconds and happen elsewhere (PciBackend); their answers
// come back on the loop. A NIC given to one domain while another's hold on it is still being ended goes there
// as soon as that is done; an attachment that fails is undone and then repeated.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/pci_address.h"
#include "hypervisor/xen/pci_sysfs.h"

namespace librettos::xen {

using hypervisor::DomainId;

// What PciDevices needs of the host.
class PciBackend {
 public:
  virtual absl::StatusOr<PciSysfs> Inspect(const PciAddress& function) = 0;
  // Takes the function from the driver of domain 0, and gives it back to it. Blocks for a moment.
  virtual absl::Status MakeAssignable(const PciAddress& function) = 0;
  virtual absl::Status Release(const PciAddress& function) = 0;
  // As Release, after all that was asked of `domain` before is done.
  virtual void ReleaseAfter(DomainId domain, const PciAddress& function) = 0;
  // Answers with the slot of bus 0 in which the domain finds it.
  using Attached = std::function<void(absl::StatusOr<int> slot)>;
  virtual void Attach(DomainId domain, const PciAddress& function, Attached done) = 0;
  // Also of what an attachment that failed has left.
  virtual void Detach(DomainId domain, const PciAddress& function,
                      std::function<void(absl::Status)> done) = 0;
  virtual void After(absl::Duration delay, std::function<void()> callback) = 0;

 protected:
  ~PciBackend() = default;
};

class PciObserver {
 public:
  // To be remembered over a restart of the daemon, until OnDetached or the domain's end.
  virtual void OnGiven(DomainId domain, const std::string& nic, const PciAddress& function,
                       const std::string& address, uint32_t mtu) = 0;
  // The domain is to be told (the key device/nic/<nic>), or no longer.
  virtual void OnAttached(DomainId domain, const std::string& nic, int slot, const std::string& address,
                          uint32_t mtu) = 0;
  virtual void OnDetached(DomainId domain, const std::string& nic) = 0;
  // For people; empty: no more.
  virtual void OnTrouble(const std::string& nic, const std::string& what) = 0;

 protected:
  ~PciObserver() = default;
};

class PciDevices {
 public:
  PciDevices(PciBackend& backend, PciObserver& observer) : backend_(backend), observer_(observer) {}

  absl::StatusOr<hypervisor::NicInfo> Open(const std::string& nic, const hypervisor::NicConfig& config);
  absl::Status Close(const std::string& nic);
  absl::Status Give(const std::string& nic, DomainId domain, const std::string& address);
  // If the domain was not told of it yet, it will not be: OnDetached follows, from within or later.
  void Recall(const std::string& nic, DomainId domain);
  // A former daemon gave it to the domain; what was not told yet is done again. Those told come first.
  void Adopt(const std::string& nic, DomainId domain, const PciAddress& function, const std::string& address,
             uint32_t mtu, bool told);
  // The domain says that it stopped the NIC. PermissionDenied: it does not have it.
  absl::Status Returned(const std::string& nic, DomainId domain);
  void DomainDied(DomainId domain);  // It runs no more; its functions are still attached.
  void DomainGone(DomainId domain);  // Xen has forgotten it, and its functions are free.

 private:
  enum class State { kFree, kAttaching, kAttached, kDetaching, kHolderDied };
  struct Function {
    PciAddress function;
    bool open = false;
    hypervisor::NicInfo info;
    State state = State::kFree;
    DomainId holder = 0;  // 0 if and only if kFree.
    // Who is to have it as soon as it is free; 0: nobody.
    DomainId next = 0;
    std::string next_address;
    int failures = 0;
    bool recalled = false;  // kAttaching: what is under way comes to its end, and is undone.
  };
  void Free(const std::string& nic, Function& function);
  void Attach(const std::string& nic, Function& function, DomainId domain, const std::string& address);
  void OnAttached(const std::string& nic, DomainId domain, const std::string& address,
                  absl::StatusOr<int> slot);
  // The function, if it is still to be attached to the domain; else nullptr: it was closed, or that died.
  Function* Attaching(const std::string& nic, DomainId domain);
  void AttachAgain(const std::string& nic, DomainId domain, const std::string& address);
  // Takes it from the domain, which has stopped it, or was never told of it.
  void Detach(const std::string& nic, Function& function, DomainId domain);
  void OnDetached(const std::string& nic, DomainId domain);

  PciBackend& backend_;
  PciObserver& observer_;
  std::map<std::string, Function> functions_;
};

// A stable unicast address of our own, for a function whose own nobody knows: domain 0 never drove it.
std::string DerivedAddress(const std::string& nic, const PciAddress& function);

}  // namespace librettos::xen
