#include "guest/platform/xen/clock.h"

#include <array>
#include <atomic>
#include <cstring>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/xen_cpuid.h"

namespace librettos {
namespace xen {
namespace {

constexpr Nanoseconds kSecond = 1000000000;

// struct vcpu_time_info of xen/include/public/xen.h. Written by Xen at any time; odd versions: being written.
struct TimeInfo {
  uint32_t version, pad0;
  uint64_t tsc_timestamp;
  uint64_t system_time;  // Nanoseconds at tsc_timestamp.
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags, pad1[2];
};
static_assert(sizeof(TimeInfo) == 32);

constinit std::array<std::atomic<const volatile TimeInfo*>, kMaxCpus> pages{};
// Nanoseconds per tick, as a fraction of 2^32.
constinit uint64_t tick_scale = 0;
constinit uint64_t start_tsc = 0;
constinit std::atomic<Nanoseconds> latest{0};

Nanoseconds Scale(uint64_t ticks, uint64_t fraction) {
  return static_cast<Nanoseconds>(static_cast<unsigned __int128>(ticks) * fraction >> 32);
}

Nanoseconds ReadPage(const volatile TimeInfo& page) {
  for (;;) {
    const uint32_t version = page.version;
    // x86 keeps loads in order: only the compiler must be told.
    asm volatile("" ::: "memory");
    const uint64_t base = page.tsc_timestamp;
    const Nanoseconds system_time = page.system_time;
    const uint32_t fraction = page.tsc_to_system_mul;
    const int shift = page.tsc_shift;
    asm volatile("lfence" ::: "memory");
    uint64_t ticks = ReadTsc() - base;
    asm volatile("" ::: "memory");
    if (version & 1 || page.version != version) continue;
    ticks = shift >= 0 ? ticks << shift : ticks >> -shift;
    return system_time + Scale(ticks, fraction);
  }
}

// Ticks per second, measured by channel 2 of the 8254 (Intel 8254 data sheet; its input is 1193182 Hz).
uint64_t MeasureTsc() {
  constexpr uint64_t kPitHz = 1193182, kCount = 23864;  // 20 ms.
  constexpr uint16_t kGate = 0x61, kMode = 0x43, kChannel2 = 0x42;
  constexpr uint8_t kOutput = 0x20;
  constexpr uint64_t kPatience = uint64_t{1} << 33;  // Ticks: more than 20 ms at any frequency there is.
  Out8(kGate, (In8(kGate) & ~3) | 1);                // Counts; no sound.
  Out8(kMode, 0xb0);                                 // Channel 2, both bytes, mode 0.
  Out8(kChannel2, kCount & 0xff);
  Out8(kChannel2, kCount >> 8);
  const uint64_t begin = ReadTsc();
  uint64_t end = begin;
  while (!(In8(kGate) & kOutput) && end - begin < kPatience) end = ReadTsc();
  return (end - begin) * kPitHz / kCount;
}

uint64_t TscHz() {
  if (const uint32_t base = XenCpuIdBase()) {
    // Leaf base + 3, subleaf 0: ECX is the guest's frequency in kHz (xen/include/public/arch-x86/cpuid.h).
    if (const uint64_t khz = ReadCpuId(base + 3).ecx) return khz * 1000;
  }
  return MeasureTsc();
}

}  // namespace

uint64_t ReadTsc() {
  uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return uint64_t{high} << 32 | low;
}

void InitClock() {
  uint64_t hz = TscHz();
  if (hz == 0) {
    hz = kSecond;
    Log("clock: the frequency of the time-stamp counter is unknown, 1 GHz is assumed");
  }
  start_tsc = ReadTsc();
  tick_scale = static_cast<uint64_t>((static_cast<unsigned __int128>(kSecond) << 32) / hz);
}

void SetClockPage(unsigned cpu, const volatile void* time_info) {
  if (cpu >= kMaxCpus) Panic("clock: no such CPU");
  pages[cpu].store(static_cast<const volatile TimeInfo*>(time_info), std::memory_order_release);
}

}  // namespace xen

Nanoseconds Now() {
  const volatile xen::TimeInfo* page = xen::pages[xen::CurrentCpu()].load(std::memory_order_acquire);
  Nanoseconds now =
      page ? xen::ReadPage(*page) : xen::Scale(xen::ReadTsc() - xen::start_tsc, xen::tick_scale);
  // Relaxed: only this one value must not go back, for whoever reads it.
  Nanoseconds latest = xen::latest.load(std::memory_order_relaxed);
  while (now > latest && !xen::latest.compare_exchange_weak(latest, now, std::memory_order_relaxed)) {
  }
  return now > latest ? now : latest;
}

}  // namespace librettos
