// Starts CPUs as a plain machine does, by INIT and start-up interrupts, in place of the hypervisor's call.
#pragma once

#include "guest/platform/xen/cpu.h"

namespace librettos::xen {

// For SetCpuStarter. Needs a free page below 1 MiB; CPU n is the one with APIC id n.
Status StartBySipi(unsigned cpu, const CpuContext& context);

}  // namespace librettos::xen
