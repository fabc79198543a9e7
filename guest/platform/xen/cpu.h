// The CPU: identification, ports, waiting; data per CPU; further CPUs.
//
// Nothing preempts: interrupts are on only inside WaitForInterrupt, and an interrupt does nothing but end it.
// So code needs no protection from interrupts, and may use SSE everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/platform/result.h"

namespace librettos::xen {

inline constexpr unsigned kMaxCpus = 32;  // As many as Xen's shared_info page has vcpu_info for.

struct CpuId {
  uint32_t eax, ebx, ecx, edx;
};
CpuId ReadCpuId(uint32_t leaf, uint32_t subleaf = 0);

uint64_t ReadMsr(uint32_t msr);
void WriteMsr(uint32_t msr, uint64_t value);

// I/O ports.
inline uint8_t In8(uint16_t port) {
  uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void Out8(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
inline uint16_t In16(uint16_t port) {
  uint16_t value;
  asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void Out16(uint16_t port, uint16_t value) { asm volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
inline uint32_t In32(uint16_t port) {
  uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void Out32(uint16_t port, uint32_t value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }

inline void Pause() { asm volatile("pause"); }

// The calling CPU's number: 0 for the one that started, n for the one started by StartCpu(n).
unsigned CurrentCpu();

// Sleeps until an interrupt comes; one that came since interrupts were last on counts. Every vector from 32
// to 255 is allowed and means nothing by itself; nothing is acknowledged (Xen's callback vector needs no end
// of interrupt). The caller has looked for work before and looks again afterwards; what comes in between ends
// the sleep at once.
void WaitForInterrupt();
// Vector for HVM_PARAM_CALLBACK_IRQ.
inline constexpr uint8_t kEventVector = 0xf3;

[[noreturn]] void Halt();

// ---- Further CPUs ----------------------------------------------------------------------------------------
// State in which a CPU starts: 64-bit mode, flat segments, interrupts off.
struct CpuContext {
  uint64_t rip, rsp, rdi;
  uint64_t cr0, cr3, cr4, efer;
};

struct CpuStarter {
  // Makes CPU `cpu` run from `context` (Xen: VCPUOP_initialise with a 64-bit vcpu_hvm_context, then
  // VCPUOP_up).
  Status (*start)(unsigned cpu, const CpuContext& context) = nullptr;
};
void SetCpuStarter(const CpuStarter& starter);

// Runs `entry(argument)` on CPU `cpu`, with a stack of kCpuStackSize above a guard page, the IDT, and a GDT,
// a TSS and fault stacks of its own. If entry returns, the CPU halts for good. kUnsupported: no starter;
// kInUse: it runs already.
Status StartCpu(unsigned cpu, void (*entry)(void* argument), void* argument);
inline constexpr size_t kCpuStackSize = 64 * 1024;

// Called once by KernelMain: the first CPU's segments, fault stacks and per-CPU data, and the interrupt
// table.
void InitFirstCpu();

}  // namespace librettos::xen
