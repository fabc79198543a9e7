// The capability list of a function's configuration space.
// PCI Local Bus Specification 3.0, section 6.7 and appendix H.
#pragma once

#include <cstdint>

#include "guest/platform/pci.h"

namespace librettos::pci {

inline constexpr uint8_t kVendorSpecific = 0x09;  // Appendix H.
inline constexpr uint8_t kExpress = 0x10, kMsiX = 0x11;

// The offset of the next capability `id` behind the one at `after` (0: of the first); 0: there is none. The
// list is the device's and may be a loop: no more than fit in 256 bytes are looked at, and each is above the
// one's header and aligned.
uint8_t NextCapability(PciFunction& function, uint8_t id, uint8_t after = 0);

// Section 6.8.2.3: whether MSI-X, not MSI, delivers the function's interrupts.
bool MsiXEnabled(PciFunction& function);

// PCI Express Base Specification 3.0, section 7.8.7: the function's link does not go to sleep by itself.
void DisableLinkPowerManagement(PciFunction& function);

}  // namespace librettos::pci
