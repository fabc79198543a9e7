#include "guest/platform/xen/start.h"

#include "guest/platform/xen/clock.h"
#include "guest/platform/xen/console.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/end.h"
#include "guest/platform/xen/entropy.h"
#include "guest/platform/xen/malloc.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/start_info.h"

#ifndef LIBRETTOS_BARE_METAL
#error "compiled by the hosted toolchain: .bazelrc lacks --incompatible_enable_cc_toolchain_resolution"
#endif

extern "C" {
using Constructor = void (*)();
extern const Constructor InitArrayBegin[], InitArrayEnd[];

// From boot.S, on the boot stack and the boot tables.
[[noreturn]] void KernelMain(uint64_t start_info) {
  using namespace librettos::xen;  // NOLINT: this is its main program.
  InitConsole();
  InitFirstCpu();
  ReadStartInfo(start_info);
  InitHypervisor();
  InitMemory();
  InitClock();
  InitEntropy();
  InitMalloc();
  for (const Constructor* constructor = InitArrayBegin; constructor != InitArrayEnd; ++constructor)
    (*constructor)();
  EndDomain(EndReason::kFinished, RunDomain());
}
}
