// A device that misbehaves, or is made to: an 82574L told to write what it receives to memory that is
// nobody's, of its domain least of all. What keeps that from the host is the IOMMU. On Xen only: elsewhere no
// domain has a device that reaches memory by itself.
#pragma once

#include "guest/platform/pci.h"

namespace librettos::test {

class WildDma final : public DeviceObserver {
 public:
  // Asks for the domain's devices; each that comes runs wild.
  explicit WildDma(Platform& platform) { platform.devices().SetObserver(this); }
  void OnDevice(const Device& device) override;
  // Has the device go on: what it could not write is retried.
  void Round();

 private:
  PciFunction* function_ = nullptr;
  uint32_t next_ = 0;
};

}  // namespace librettos::test
