// Clocks and percentiles of test tools and benchmarks.
#pragma once

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace librettos::test {

inline constexpr uint64_t kSecond = 1'000'000'000;  // In nanoseconds.

// Nanoseconds of `clock`. CLOCK_REALTIME is the clock of SO_TIMESTAMPNS; for durations, CLOCK_MONOTONIC.
inline uint64_t Clock(clockid_t clock = CLOCK_MONOTONIC) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

// Nearest-rank percentile of ascending values: the smallest of which at least `fraction` of all are not
// above. 0 of none.
template <class Value>
Value Percentile(const std::vector<Value>& sorted, double fraction) {
  if (sorted.empty()) return Value{};
  const auto rank = static_cast<size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace librettos::test
