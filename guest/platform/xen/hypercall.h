// Calls to Xen (xen/include/public/xen.h). Results are 0 or more, or a negated error number.
//
// Arguments are virtual addresses. Threading: any CPU.
#pragma once

#include <cstdint>

#include "guest/platform/xen/abi.h"

namespace librettos::xen {

// Has Xen fill the page of hypercalls; called once, from InitHypervisor. False: this is no Xen, and nothing
// else here may be called.
bool InitHypercalls();
bool OnXen();

template <unsigned kNumber>
inline long Hypercall(uint64_t first, uint64_t second, uint64_t third = 0) {
  long result;
  asm volatile("call HypercallPage + %c[offset]"
               : "=a"(result), "+D"(first), "+S"(second), "+d"(third)
               : [offset] "i"(kNumber * 32)
               : "rcx", "r8", "r9", "r10", "r11", "memory");
  return result;
}

inline uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

inline long MemoryOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_memory_op>(command, AddressOf(argument));
}
inline long VersionOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_xen_version>(command, AddressOf(argument));
}
inline long EventChannelOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_event_channel_op>(command, AddressOf(argument));
}
inline long GrantTableOp(unsigned command, void* arguments, unsigned count) {
  return Hypercall<__HYPERVISOR_grant_table_op>(command, AddressOf(arguments), count);
}
inline long HvmOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_hvm_op>(command, AddressOf(argument));
}
inline long SchedOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_sched_op>(command, AddressOf(argument));
}
inline long VcpuOp(unsigned command, unsigned cpu, void* argument) {
  return Hypercall<__HYPERVISOR_vcpu_op>(command, cpu, AddressOf(argument));
}
inline long PhysdevOp(unsigned command, void* argument) {
  return Hypercall<__HYPERVISOR_physdev_op>(command, AddressOf(argument));
}

// A parameter of this domain (xen/include/public/hvm/params.h); 0 if it is not set.
uint64_t HvmParameter(uint32_t index);

}  // namespace librettos::xen
