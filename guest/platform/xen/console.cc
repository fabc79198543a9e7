#include "guest/platform/xen/console.h"

#include <atomic>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/end.h"
#include "guest/platform/xen/spin_lock.h"
#include "guest/platform/xen/trap.h"

namespace librettos {
namespace xen {
namespace {

constexpr uint16_t kDebugPort = 0xe9;
// A 16550 (National Semiconductor PC16550D): its registers from 0x3f8.
constexpr uint16_t kTransmit = 0x3f8, kLineStatus = 0x3fd, kScratch = 0x3ff;
constexpr uint8_t kTransmitEmpty = 0x20;
constexpr int kPatience = 10000;  // Reads of the line status before a byte is given up.

constinit SpinLock lock;
constinit std::atomic<void (*)(std::string_view)> sink{nullptr};
constinit std::atomic<bool> crashed{false};
constinit bool has_serial = false;

void WriteToPorts(std::string_view text) {
  for (const char c : text) {
    Out8(kDebugPort, static_cast<uint8_t>(c));
    if (!has_serial) continue;
    for (int i = 0; i < kPatience && !(In8(kLineStatus) & kTransmitEmpty); ++i) Pause();
    Out8(kTransmit, static_cast<uint8_t>(c));
  }
}

}  // namespace

void InitConsole() {
  Out8(kScratch, 0x5a);
  has_serial = In8(kScratch) == 0x5a;
}

// Release and acquire: what the sink stands on is set up.
void SetConsole(void (*write)(std::string_view)) { sink.store(write, std::memory_order_release); }

void WriteConsole(std::string_view text) {
  const auto write = sink.load(std::memory_order_acquire);
  if (!write || crashed.load(std::memory_order_relaxed)) WriteToPorts(text);
  if (write) write(text);
}

void EnterCrashConsole() { crashed.store(true, std::memory_order_relaxed); }

}  // namespace xen

void Log(std::string_view line) {
  // After a crash on another CPU the lock's holder may never run again.
  if (xen::crashed.load(std::memory_order_relaxed)) return;
  xen::SpinLockHolder holder(xen::lock);
  xen::WriteConsole(line);
  xen::WriteConsole("\n");
}

void Panic(std::string_view reason) {
  // Within the report of a crash: nothing more can be said.
  if (xen::crashed.load(std::memory_order_relaxed)) xen::EndDomain(xen::EndReason::kCrashed, 0, reason);
  xen::EnterCrashConsole();
  xen::WriteConsole("panic: ");
  xen::WriteConsole(reason);
  xen::WriteConsole("\n");
  xen::WriteBacktrace(reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
  xen::EndDomain(xen::EndReason::kCrashed, 0, reason);
}

}  // namespace librettos
