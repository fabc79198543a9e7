#include "drivers/net/pci_capability.h"

namespace librettos::pci {
namespace {

constexpr uint32_t kStatus = 0x06;
constexpr uint32_t kHasCapabilities = 1 << 4;
constexpr uint32_t kFirst = 0x34;
constexpr uint8_t kHeaderBytes = 0x40;  // Capabilities lie behind the header.
constexpr int kMostCapabilities = (256 - kHeaderBytes) / 4;
constexpr uint32_t kMessageControl = 2;
constexpr uint32_t kMsiXEnable = 1 << 15;
constexpr uint32_t kLinkControl = 0x10;
constexpr uint32_t kPowerManagement = 3;  // ASPM Control: L0s, L1.

}  // namespace

uint8_t NextCapability(PciFunction& function, uint8_t id, uint8_t after) {
  const uint32_t status = function.ReadConfig(kStatus, 2);
  if (status == 0xffff || !(status & kHasCapabilities)) return 0;
  bool behind = after == 0;
  uint32_t at = function.ReadConfig(kFirst, 1);
  for (int i = 0; i < kMostCapabilities; ++i) {
    at &= 0xfc;
    if (at < kHeaderBytes) return 0;
    const uint32_t header = function.ReadConfig(at, 2);
    if (behind && (header & 0xff) == id) return static_cast<uint8_t>(at);
    behind = behind || at == after;
    at = header >> 8;
  }
  return 0;
}

bool MsiXEnabled(PciFunction& function) {
  const uint8_t at = NextCapability(function, kMsiX);
  return at != 0 && (function.ReadConfig(at + kMessageControl, 2) & kMsiXEnable);
}

void DisableLinkPowerManagement(PciFunction& function) {
  const uint8_t at = NextCapability(function, kExpress);
  if (at == 0 || at + kLinkControl >= 256) return;
  const uint32_t control = function.ReadConfig(at + kLinkControl, 2);
  if (control & kPowerManagement) function.WriteConfig(at + kLinkControl, 2, control & ~kPowerManagement);
}

}  // namespace librettos::pci
