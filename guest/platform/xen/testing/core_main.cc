#include "guest/platform/platform.h"
#include "guest/platform/xen/start.h"
namespace librettos::xen {
void InitHypervisor() {}
int RunDomain() {
  Log("up");
  return 0;
}
}  // namespace librettos::xen
