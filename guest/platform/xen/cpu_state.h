// One CPU's segments, fault stacks and data; found by %gs. Inside this library only.
//
// Layout of GDT and TSS: AMD64 Architecture Programmer's Manual, volume 2, sections 4.8 and 12.2.5.
#pragma once

#include <cstddef>
#include <cstdint>

namespace librettos::xen {

inline constexpr uint16_t kCodeSegment = 0x08;
inline constexpr uint16_t kDataSegment = 0x10;
inline constexpr uint16_t kTaskSegment = 0x18;

// Index in the TSS of the stack on which an exception is handled. Never the one that it interrupted, so that
// an overflow of that is reported like anything else.
enum FaultStack : uint8_t { kTrapStack = 1, kDoubleFaultStack, kNmiStack, kMachineCheckStack };

struct [[gnu::packed]] TaskState {
  uint32_t reserved0;
  uint64_t rsp[3];
  uint64_t reserved1;
  uint64_t ist[7];  // ist[n - 1] is FaultStack n.
  uint64_t reserved2;
  uint16_t reserved3;
  uint16_t io_map;
};
static_assert(sizeof(TaskState) == 104);

struct Cpu {
  Cpu* self;  // At %gs:0.
  unsigned number;
  uint64_t stack_begin, stack_end;  // Just below stack_begin is a guard page.
  void (*entry)(void* argument);
  void* argument;
  uint64_t gdt[5];
  TaskState task;
  alignas(16) std::byte trap_stack[16 * 1024];
  alignas(16) std::byte rare_stacks[3][8 * 1024];
};

Cpu& ThisCpu();

// Loads `cpu`'s GDT, TSS and %gs base on the calling CPU, and the interrupt table.
void EnterCpu(Cpu& cpu);

}  // namespace librettos::xen
