// Stands for the Xen platform in images that are only linked, never run: they show that domain code needs
// nothing that bare metal does not have.
#include "drivers/net/nic.h"
#include "guest/platform/platform.h"
#include "guest/platform/xen/start.h"

namespace librettos {

Result<Nic*> OpenNic(Platform&, const Device&) { return Error::kUnsupported; }

namespace xen {

void InitHypervisor() {}

int RunDomain() {
  Platform* volatile none = nullptr;
  return DomainMain(*none);
}

}  // namespace xen
}  // namespace librettos
