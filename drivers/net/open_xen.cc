// OpenNic of Xen domains: PCI functions, by vendor and device (PCI Local Bus 3.0, section 6.2.1).
#include "drivers/net/e1000e.h"
#include "drivers/net/virtio.h"

namespace librettos {

Result<Nic*> OpenNic(Platform&, const Device& device) {
  if (device.kind != DeviceKind::kPci || !device.function) return Error::kUnsupported;
  const uint32_t vendor = device.function->ReadConfig(0, 2), id = device.function->ReadConfig(2, 2);
  if (E1000eNic::Drives(vendor, id)) return E1000eNic::Create(device);
  if (VirtioNic::Drives(vendor, id)) return VirtioNic::Create(device);
  return Error::kUnsupported;
}

}  // namespace librettos
