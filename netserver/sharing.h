// What the forwarding loops of a server share beside its tables (docs/architecture.md, Several CPUs).
#pragma once

#include <atomic>
#include <cstdint>

#include "guest/platform/spin_lock.h"

namespace librettos::netserver {

inline constexpr uint32_t kMaxLoops = 8;  // As many as queue pairs of a guest.

struct Sharing {
  uint32_t loops = 1;
  SpinLock
      leases;  // What a request or release changes: the lease table, and what a guest knows of its leases.
  std::atomic<bool> hold_leases{false};  // Lease requests wait in their rings.
  std::atomic<uint32_t> closed{0};  // Guests that were cut off and whose channels are still to be closed.

  bool several() const { return loops > 1; }
};

}  // namespace librettos::netserver
