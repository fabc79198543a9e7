#include "guest/platform/xen/end.h"

#include <atomic>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/start.h"

namespace librettos::xen {
namespace {

constexpr uint16_t kDebugExit = 0xf4;
constexpr uint32_t kExitFinished = 0x10, kExitCrashed = 0x7f;

constinit EndHook hook = nullptr;
constinit std::atomic<bool> ending{false};

}  // namespace

void SetEnd(EndHook value) { hook = value; }

void EndDomain(EndReason end, int status, std::string_view reason) {
  asm volatile("cli");
  // A crash within the hook must not call it again.
  if (!ending.exchange(true, std::memory_order_relaxed) && hook) hook(end, status, reason);
  if (CommandLineHas("debug-exit")) {
    Out32(kDebugExit, end == EndReason::kFinished ? kExitFinished + (status & 0xf) : kExitCrashed);
  }
  Halt();
}

}  // namespace librettos::xen
