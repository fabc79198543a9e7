// What counters did between two looks at them.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "librettos/v1/statistics.pb.h"

namespace librettos::ctl {

struct Rates {
  double rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0, drops = 0;  // Per second.
};

// A counter; 0 if it is not there.
uint64_t CounterOf(const v1::ResourceStatistics& row, absl::string_view name);
// Frames dropped for any reason.
uint64_t DropsOf(const v1::ResourceStatistics& row);

// Nothing: the two cannot be compared, because another domain counts now, or a counter went backwards, or no
// time passed.
std::optional<Rates> RatesBetween(const v1::ResourceStatistics& before, const v1::ResourceStatistics& after,
                                  absl::Duration passed);

}  // namespace librettos::ctl
