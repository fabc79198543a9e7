// The clock for everything that lasts or ends. The wall clock, absl::Now(), can be set while somebody waits:
// it is for what people are shown.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace librettos {

// Since an arbitrary start. Never goes back.
inline absl::Duration Monotonic() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// A time-out of so long or longer is none: what counts nanoseconds since the start cannot hold any.
inline constexpr absl::Duration kEndless = absl::Hours(24 * 365);

}  // namespace librettos
