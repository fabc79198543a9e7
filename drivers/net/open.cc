// OpenNic of process domains: the only devices there are descriptors.
#include "drivers/net/nic.h"
#include "drivers/net/tap.h"

namespace librettos {

Result<Nic*> OpenNic(Platform& platform, const Device& device) {
  if (device.kind != DeviceKind::kTap) return Error::kUnsupported;
  return TapNic::Create(process::DescriptorLoopOf(platform), device);
}

}  // namespace librettos
