#include "client/commands/rates.h"

#include <string>

namespace librettos::ctl {

uint64_t CounterOf(const v1::ResourceStatistics& row, absl::string_view name) {
  const auto found = row.counters().find(std::string(name));
  return found == row.counters().end() ? 0 : found->second;
}

uint64_t DropsOf(const v1::ResourceStatistics& row) {
  uint64_t sum = 0;
  for (const auto& [reason, frames] : row.drops()) sum += frames;
  return sum;
}

std::optional<Rates> RatesBetween(const v1::ResourceStatistics& before, const v1::ResourceStatistics& after,
                                  absl::Duration passed) {
  if (before.domain() != after.domain() || passed <= absl::ZeroDuration()) return std::nullopt;
  const double seconds = absl::ToDoubleSeconds(passed);
  bool backwards = false;
  const auto rate = [&](uint64_t from, uint64_t to) {
    backwards = backwards || to < from;
    return static_cast<double>(to - from) / seconds;
  };
  const auto counter = [&](const char* name) {
    return rate(CounterOf(before, name), CounterOf(after, name));
  };
  Rates rates{counter("rx_frames"), counter("rx_bytes"), counter("tx_frames"), counter("tx_bytes"),
              rate(DropsOf(before), DropsOf(after))};
  if (backwards) return std::nullopt;
  return rates;
}

}  // namespace librettos::ctl
