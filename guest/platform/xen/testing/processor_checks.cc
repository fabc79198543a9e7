// Clock, entropy, constructors, floating point, interrupts.
#include <array>
#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/entropy.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/testing/check.h"

extern "C" uintptr_t __stack_chk_guard;

namespace librettos::xen {
namespace {

struct Constructed {
  Constructed() : time(Now()), memory(new int(7)) {}
  Nanoseconds time;
  int* memory;
};
const Constructed constructed;

void CheckClock() {
  const Nanoseconds begin = Now();
  Nanoseconds last = begin;
  bool back = false;
  for (int i = 0; i < 200000; ++i) {
    const Nanoseconds now = Now();
    back = back || now < last;
    last = now;
  }
  Check("the clock never goes back", !back);
  Check("the clock advances", last > begin);
}

void CheckRandom() {
  std::array<std::byte, 300> a, b;
  a.fill(std::byte{0});
  b.fill(std::byte{0});
  Random(a);
  MixEntropy(std::as_bytes(std::span("seed")));
  Random(b);
  Check("random bytes differ each time", a != b);
  Check("random blocks differ", memcmp(a.data(), a.data() + 64, 64) != 0);
  Check("random bytes reach the end", memcmp(a.data() + 284, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) != 0);
  Check("the canary cannot be written by text", __stack_chk_guard != 0 && (__stack_chk_guard & 0xff) == 0);
}

void CheckInterrupt() {
  constexpr size_t kSpurious = 0xf0, kCommand = 0x300, kEnd = 0xb0;  // Intel SDM volume 3, table 11-1.
  volatile void* apic = MapDevice(0xfee00000, kPageSize);
  const auto at = [apic](size_t offset) -> volatile uint32_t& {
    return *reinterpret_cast<volatile uint32_t*>(static_cast<volatile std::byte*>(apic) + offset);
  };
  at(kSpurious) = 0x1ff;
  at(kCommand) = 0x40000 | kEventVector;  // To itself; stays pending, as interrupts are off.
  WaitForInterrupt();
  at(kEnd) = 0;
  uint64_t flags;
  asm volatile("pushfq; popq %0" : "=r"(flags));
  Check("a pending interrupt ends the sleep", true);
  Check("interrupts are off after the sleep", !(flags & 0x200));
}

}  // namespace

void CheckProcessor() {
  Check("static constructors ran", constructed.memory && *constructed.memory == 7 && constructed.time != 0);
  CheckClock();
  CheckRandom();
  volatile double third = 1.0 / 3;
  Check("SSE computes", third * 3 == 1.0);
  Check("the first CPU is number 0", CurrentCpu() == 0);
  Check("further CPUs need a starter", StartCpu(
                                           1, [](void*) {}, nullptr) == Status(Error::kUnsupported));
  CheckInterrupt();
}

}  // namespace librettos::xen
