#include "guest/platform/xen/cpu.h"

#include <atomic>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu_state.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/page_table.h"
#include "guest/platform/xen/trap.h"

extern "C" {
extern std::byte BootStackGuard[], BootStackEnd[];
void CpuEntry();
void SleepUntilInterrupt();  // trap_entry.S
[[noreturn]] void CpuMain(librettos::xen::Cpu* cpu);
}

namespace librettos::xen {
namespace {

constexpr uint32_t kMsrGsBase = 0xc0000101;
constexpr uint32_t kMsrEfer = 0xc0000080;

constinit Cpu first_cpu{};
constinit CpuStarter starter;
constinit std::atomic<bool> started[kMaxCpus] = {};

void FillSegments(Cpu& cpu) {
  const auto task = reinterpret_cast<uint64_t>(&cpu.task);
  cpu.gdt[kCodeSegment / 8] = 0x00af9b000000ffff;
  cpu.gdt[kDataSegment / 8] = 0x00cf93000000ffff;
  // Available 64-bit TSS; its base is spread over two entries.
  cpu.gdt[kTaskSegment / 8] =
      (sizeof(TaskState) - 1) | (task & 0xffffff) << 16 | uint64_t{0x89} << 40 | (task >> 24 & 0xff) << 56;
  cpu.gdt[kTaskSegment / 8 + 1] = task >> 32;
  cpu.task.io_map = sizeof(TaskState);
  cpu.task.ist[kTrapStack - 1] = reinterpret_cast<uint64_t>(cpu.trap_stack + sizeof cpu.trap_stack);
  for (int i = 0; i < 3; ++i) {
    cpu.task.ist[kDoubleFaultStack - 1 + i] =
        reinterpret_cast<uint64_t>(cpu.rare_stacks[i] + sizeof cpu.rare_stacks[i]);
  }
}

uint64_t ReadCr0() {
  uint64_t value;
  asm volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}

uint64_t ReadCr4() {
  uint64_t value;
  asm volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}

// A stack of kCpuStackSize between unmapped pages. nullptr: exhausted; what was taken is then not given back,
// as CPUs are started once, at the start.
std::byte* MakeStack() {
  auto* stack = static_cast<std::byte*>(ReserveVirtual(kCpuStackSize));
  if (!stack) return nullptr;
  for (size_t at = 0; at < kCpuStackSize; at += kPageSize) {
    void* page = AllocatePages(1);
    if (!page || !MapPage(stack + at, PhysicalOf(page), Access::kWritable).ok()) return nullptr;
  }
  return stack;
}

}  // namespace

CpuId ReadCpuId(uint32_t leaf, uint32_t subleaf) {
  CpuId id;
  asm volatile("cpuid" : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx) : "a"(leaf), "c"(subleaf));
  return id;
}

uint64_t ReadMsr(uint32_t msr) {
  uint32_t low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return uint64_t{high} << 32 | low;
}

void WriteMsr(uint32_t msr, uint64_t value) {
  asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<uint32_t>(value)), "d"(static_cast<uint32_t>(value >> 32))
               : "memory");
}

Cpu& ThisCpu() {
  Cpu* cpu;
  asm("mov %%gs:0, %0" : "=r"(cpu));
  return *cpu;
}

unsigned CurrentCpu() { return ThisCpu().number; }

void WaitForInterrupt() { SleepUntilInterrupt(); }

void Halt() {
  for (;;) asm volatile("cli; hlt");
}

void EnterCpu(Cpu& cpu) {
  struct [[gnu::packed]] {
    uint16_t limit;
    uint64_t base;
  } const gdt{sizeof cpu.gdt - 1, reinterpret_cast<uint64_t>(cpu.gdt)};
  asm volatile(
      "lgdt %0\n"
      "pushq %1\n"
      "leaq 1f(%%rip), %%rax\n"
      "pushq %%rax\n"
      "lretq\n"
      "1: movl %2, %%ds\n"
      "movl %2, %%es\n"
      "movl %2, %%ss\n"
      "ltr %3\n" ::"m"(gdt),
      "i"(kCodeSegment), "r"(uint32_t{kDataSegment}), "r"(kTaskSegment)
      : "rax", "memory");
  WriteMsr(kMsrGsBase, reinterpret_cast<uint64_t>(&cpu));
  LoadTraps();
}

void InitFirstCpu() {
  first_cpu.self = &first_cpu;
  first_cpu.stack_begin = reinterpret_cast<uint64_t>(BootStackGuard) + kPageSize;
  first_cpu.stack_end = reinterpret_cast<uint64_t>(BootStackEnd);
  FillSegments(first_cpu);
  started[0].store(true, std::memory_order_relaxed);
  EnterCpu(first_cpu);
}

void SetCpuStarter(const CpuStarter& value) { starter = value; }

Status StartCpu(unsigned number, void (*entry)(void*), void* argument) {
  if (!starter.start) return Error::kUnsupported;
  if (number >= kMaxCpus) return Error::kInvalidArgument;
  if (started[number].exchange(true, std::memory_order_relaxed)) return Error::kInUse;
  auto* cpu = static_cast<Cpu*>(AllocatePages((sizeof(Cpu) + kPageSize - 1) / kPageSize));
  std::byte* stack = cpu ? MakeStack() : nullptr;
  if (!stack) return Error::kExhausted;
  cpu->self = cpu;
  cpu->number = number;
  cpu->stack_begin = reinterpret_cast<uint64_t>(stack);
  cpu->stack_end = cpu->stack_begin + kCpuStackSize;
  cpu->entry = entry;
  cpu->argument = argument;
  FillSegments(*cpu);
  // The long mode bits are those of a CPU that is in it; LMA reads as set already.
  return starter.start(number, {.rip = reinterpret_cast<uint64_t>(&CpuEntry),
                                .rsp = cpu->stack_end,
                                .rdi = reinterpret_cast<uint64_t>(cpu),
                                .cr0 = ReadCr0(),
                                .cr3 = PageTableRoot(),
                                .cr4 = ReadCr4(),
                                .efer = ReadMsr(kMsrEfer)});
}

}  // namespace librettos::xen

void CpuMain(librettos::xen::Cpu* cpu) {
  librettos::xen::EnterCpu(*cpu);
  cpu->entry(cpu->argument);
  librettos::xen::Halt();
}
