// What a process domain may have of the host.
#pragma once

#include <cstdint>

namespace librettos::process {

// Open files. A server has the most: two doorbells for each queue pair of each of its guests, and for a
// moment a mapping; daemon/units_test.cc holds it against the limits of the API. It is cut to the daemon's
// own hard limit.
inline constexpr uint64_t kMaxOpenFiles = 16384;

}  // namespace librettos::process
