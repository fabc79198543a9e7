// Time and timers as the daemon's logic sees them: the event loop's, or a test's own.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/time/time.h"

namespace librettos::daemon {

// Loop thread only.
class Scheduler {
 public:
  using TimerId = uint64_t;
  virtual ~Scheduler() = default;
  virtual TimerId After(absl::Duration delay, std::function<void()> callback) = 0;
  virtual void Cancel(TimerId timer) = 0;        // 0, unknown and fired timers are ignored.
  virtual absl::Duration Monotonic() const = 0;  // Since an arbitrary start.
  // For what people are shown, and for nothing else: it can be set at any time.
  virtual absl::Time Wall() const = 0;
};

}  // namespace librettos::daemon
