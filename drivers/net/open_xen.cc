// OpenNic of Xen domains: PCI functions, by vendor and device.
#include "drivers/net/nic.h"
#include "guest/platform/pci.h"

namespace librettos {

Result<Nic*> OpenNic(Platform&, const Device& device) {
  if (device.kind != DeviceKind::kPci || !device.function) return Error::kUnsupported;
  // Vendor and device (PCI Local Bus 3.0, section 6.2.1).
  const uint32_t id = device.function->ReadConfig(0, 4);
  switch (id) {
    default:
      return Error::kUnsupported;
  }
}

}  // namespace librettos
