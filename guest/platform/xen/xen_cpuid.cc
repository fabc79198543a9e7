#include "guest/platform/xen/xen_cpuid.h"

#include "guest/platform/xen/cpu.h"

namespace librettos::xen {

uint32_t XenCpuIdBase() {
  // Other hypervisors' interfaces may come first, each 0x100 further.
  for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
    const CpuId id = ReadCpuId(base);
    // "XenVMMXenVMM".
    if (id.ebx == 0x566e6558 && id.ecx == 0x65584d4d && id.edx == 0x4d4d566e) return base;
  }
  return 0;
}

}  // namespace librettos::xen
