// The domain's end.
#pragma once

#include <cstdint>
#include <string_view>

namespace librettos::xen {

enum class EndReason : uint8_t {
  kFinished,  // DomainMain returned `status`.
  kCrashed,   // A trap or Panic; `reason` says why.
};

// How the hypervisor is told; does not return if it can be helped. Called at most once, with interrupts off,
// in whatever state the domain is: after a crash it must neither allocate nor wait without bound.
using EndHook = void (*)(EndReason end, int status, std::string_view reason);
void SetEnd(EndHook hook);

// Ends the domain. Without a hook, or if it returns: by QEMU's isa-debug-exit on port 0xf4 if the command
// line holds the word "debug-exit" (written: 0x10 + status for a good end, 0x7f for a crash), and halting
// otherwise.
[[noreturn]] void EndDomain(EndReason end, int status, std::string_view reason = {});

}  // namespace librettos::xen
