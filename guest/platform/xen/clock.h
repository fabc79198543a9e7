// Source of Now() of platform.h: Xen's per-CPU time information, else the time-stamp counter.
//
// Never goes back, also between CPUs and from the one source to the other.
#pragma once

#include "guest/platform/platform.h"

namespace librettos::xen {

// Finds the frequency of the time-stamp counter: from Xen's CPUID leaf 0x40000x03, else by the PIT. Now()
// works from then on. Called once by KernelMain.
void InitClock();

// `time_info` is CPU `cpu`'s struct vcpu_time_info (xen/include/public/xen.h), which Xen keeps; Now() on that
// CPU reads it from now on. It stays mapped for the domain's life.
void SetClockPage(unsigned cpu, const volatile void* time_info);

// The time-stamp counter, in ticks.
uint64_t ReadTsc();

}  // namespace librettos::xen
