#include "guest/platform/xen/trap.h"

#include <atomic>
#include <cstddef>
#include <string_view>

#include "guest/platform/platform.h"
#include "guest/platform/xen/console.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/cpu_state.h"
#include "guest/platform/xen/end.h"
#include "guest/platform/xen/hex.h"

namespace librettos::xen {
namespace {

// As trap_entry.S and the CPU leave it on the stack.
struct TrapFrame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  uint64_t vector, error;
  uint64_t rip, cs, rflags, rsp, ss;
};

constexpr unsigned kExceptions = 32;
constexpr unsigned kNmi = 2, kDoubleFault = 8, kPageFault = 14, kMachineCheck = 18;
constexpr size_t kEntrySize = 16;  // Of TrapEntries.

constexpr std::string_view kNames[kExceptions] = {"divide error",
                                                  "debug",
                                                  "NMI",
                                                  "breakpoint",
                                                  "overflow",
                                                  "bound range",
                                                  "invalid opcode",
                                                  "no FPU",
                                                  "double fault",
                                                  "",
                                                  "invalid TSS",
                                                  "segment not present",
                                                  "stack fault",
                                                  "general protection",
                                                  "page fault",
                                                  "",
                                                  "FPU error",
                                                  "alignment check",
                                                  "machine check",
                                                  "SIMD error",
                                                  "",
                                                  "control protection"};

struct Gate {
  uint16_t offset_low, selector;
  uint8_t stack, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
};

constinit Gate gates[256] = {};
constinit std::atomic<bool> reporting{false};

Gate MakeGate(uint64_t entry, uint8_t stack) {
  constexpr uint8_t kInterruptGate = 0x8e;
  return {static_cast<uint16_t>(entry),
          kCodeSegment,
          stack,
          kInterruptGate,
          static_cast<uint16_t>(entry >> 16),
          static_cast<uint32_t>(entry >> 32),
          0};
}

uint8_t StackOf(unsigned vector) {
  switch (vector) {
    case kNmi:
      return kNmiStack;
    case kDoubleFault:
      return kDoubleFaultStack;
    case kMachineCheck:
      return kMachineCheckStack;
    default:
      return kTrapStack;
  }
}

// The two 8259s sit where exceptions are: moved away, and all their lines masked.
void SilenceLegacyInterrupts() {
  constexpr uint16_t kCommand[] = {0x20, 0xa0};
  for (int i = 0; i < 2; ++i) {
    Out8(kCommand[i], 0x11);             // Initialise, four words follow.
    Out8(kCommand[i] + 1, i ? 40 : 32);  // First vector.
    Out8(kCommand[i] + 1, i ? 2 : 4);    // Cascade on line 2.
    Out8(kCommand[i] + 1, 1);            // 8086 mode.
    Out8(kCommand[i] + 1, 0xff);
  }
}

void WriteRegister(std::string_view name, uint64_t value) {
  WriteConsole(name);
  WriteConsole(Hex(value).text());
}

void WritePageFault(const TrapFrame& frame) {
  uint64_t address;
  asm volatile("mov %%cr2, %0" : "=r"(address));
  WriteConsole(frame.error & 16 ? "execution of " : frame.error & 2 ? "write to " : "read of ");
  WriteConsole(Hex(address).text());
  WriteConsole(frame.error & 1 ? ", which is protected" : ", where nothing is mapped");
  const Cpu& cpu = ThisCpu();
  if (address < cpu.stack_begin && address >= cpu.stack_begin - kPageSize) WriteConsole(": stack overflow");
  WriteConsole("\n");
}

}  // namespace

extern "C" {
extern const std::byte TrapEntries[];
void InterruptEntry();

[[noreturn]] void HandleTrap(const TrapFrame* frame) {
  const std::string_view name = kNames[frame->vector % kExceptions];
  // A trap within the report of one: nothing more can be said.
  if (reporting.exchange(true, std::memory_order_relaxed)) EndDomain(EndReason::kCrashed, 0, name);
  EnterCrashConsole();
  WriteConsole("trap: ");
  WriteConsole(name);
  WriteRegister(", vector ", frame->vector);
  WriteRegister(", error ", frame->error);
  WriteRegister(", CPU ", CurrentCpu());
  WriteConsole("\n");
  if (frame->vector == kPageFault) WritePageFault(*frame);
  const struct {
    std::string_view name;
    uint64_t value;
  } registers[] = {{"rip ", frame->rip},         {" rsp ", frame->rsp}, {" rbp ", frame->rbp},
                   {"\nrflags ", frame->rflags}, {" rax ", frame->rax}, {" rbx ", frame->rbx},
                   {"\nrcx ", frame->rcx},       {" rdx ", frame->rdx}, {" rsi ", frame->rsi},
                   {"\nrdi ", frame->rdi},       {" r8 ", frame->r8},   {" r9 ", frame->r9},
                   {"\nr10 ", frame->r10},       {" r11 ", frame->r11}, {" r12 ", frame->r12},
                   {"\nr13 ", frame->r13},       {" r14 ", frame->r14}, {" r15 ", frame->r15}};
  for (const auto& entry : registers) WriteRegister(entry.name, entry.value);
  WriteConsole("\n");
  WriteBacktrace(frame->rbp);
  EndDomain(EndReason::kCrashed, 0, name);
}
}

void LoadTraps() {
  if (CurrentCpu() == 0) {
    for (unsigned i = 0; i < kExceptions; ++i) {
      gates[i] = MakeGate(reinterpret_cast<uint64_t>(TrapEntries) + i * kEntrySize, StackOf(i));
    }
    for (unsigned i = kExceptions; i < 256; ++i) {
      gates[i] = MakeGate(reinterpret_cast<uint64_t>(&InterruptEntry), 0);
    }
    SilenceLegacyInterrupts();
  }
  struct [[gnu::packed]] {
    uint16_t limit;
    const Gate* base;
  } const table{sizeof gates - 1, gates};
  asm volatile("lidt %0" ::"m"(table));
}

void WriteBacktrace(uint64_t frame_pointer) {
  constexpr int kMaxDepth = 24;
  const Cpu& cpu = ThisCpu();
  WriteConsole("called from");
  // Only within the stack, and only upwards: what is read here may be anything.
  uint64_t at = frame_pointer;
  uint64_t lowest = cpu.stack_begin;
  for (int i = 0; i < kMaxDepth && at >= lowest && at <= cpu.stack_end - 16 && at % 8 == 0; ++i) {
    const auto* frame = reinterpret_cast<const uint64_t*>(at);
    WriteConsole(" ");
    WriteConsole(Hex(frame[1]).text());
    lowest = at + 16;
    at = frame[0];
  }
  WriteConsole("\n");
}

}  // namespace librettos::xen
