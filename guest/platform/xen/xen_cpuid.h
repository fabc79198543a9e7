// Finds Xen by CPUID.
#pragma once

#include <cstdint>

namespace librettos::xen {

// First of Xen's CPUID leaves (xen/include/public/arch-x86/cpuid.h); 0: Xen is not there.
uint32_t XenCpuIdBase();

}  // namespace librettos::xen
