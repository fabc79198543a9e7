#include "guest/platform/xen/vcpu.h"

#include "guest/platform/xen/clock.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/shared_info.h"

namespace librettos::xen {
namespace {

Status Start(unsigned cpu, const CpuContext& context) {
  SetClockPage(cpu, &SharedInfo()->vcpu_info[cpu].time);
  vcpu_hvm_context_t state = {};
  state.mode = VCPU_HVM_MODE_64B;
  auto& registers = state.cpu_regs.x86_64;
  registers.rip = context.rip;
  registers.rsp = context.rsp;
  registers.rdi = context.rdi;
  registers.rflags = 2;  // The bit that is always one; interrupts off.
  registers.cr0 = context.cr0;
  registers.cr3 = context.cr3;
  registers.cr4 = context.cr4;
  registers.efer = context.efer;
  switch (VcpuOp(VCPUOP_initialise, cpu, &state)) {
    case 0:
      break;
    case -kXenNoEntry:
      return Error::kNotFound;  // The domain has fewer.
    default:
      return Error::kIo;
  }
  return VcpuOp(VCPUOP_up, cpu, nullptr) == 0 ? Status() : Status(Error::kIo);
}

}  // namespace

void InitCpuStarter() { SetCpuStarter({.start = &Start}); }

}  // namespace librettos::xen
