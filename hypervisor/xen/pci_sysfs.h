// What the kernel of domain 0 says about a PCI function.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "hypervisor/xen/pci_address.h"

namespace librettos::xen {

struct PciSysfs {
  std::string driver;   // Empty: none.
  std::string address;  // Hardware address of its network interface; empty: domain 0 does not drive it.
  uint32_t mtu = 0;     // Of that interface; 0: unknown.
  std::string up;       // Name of that interface if it is up: domain 0 uses it.

  bool assignable() const { return driver == "pciback"; }
};

// `root`: /sys. NotFound: there is no such function; InvalidArgument: it is not a network controller.
absl::StatusOr<PciSysfs> ReadPciSysfs(const std::string& root, const PciAddress& address);

}  // namespace librettos::xen
