// OpenNic of process domains: the only devices there are descriptors.
#include <new>

#include "drivers/net/nic_opening.h"
#include "drivers/net/tap.h"

namespace librettos {

Result<NicOpening*> OpenNic(Platform& platform, const Device& device) {
  if (device.kind != DeviceKind::kTap) return Error::kUnsupported;
  Result<Nic*> nic = TapNic::Create(process::DescriptorLoopOf(platform), device);
  if (!nic.ok()) return nic.error();
  std::unique_ptr<Nic> owned(*nic);
  auto* opening = new (std::nothrow) ReadyNic(owned.get());
  if (!opening) return Error::kExhausted;
  owned.release();
  return static_cast<NicOpening*>(opening);
}

}  // namespace librettos
