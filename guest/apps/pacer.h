// When the packets of a stream with a steady rate are due.
#pragma once

#include <cstdint>

namespace librettos::apps {

class Pacer {
 public:
  // `per_second` of at least 1, from `start` (nanoseconds) on: the first is due at once.
  Pacer(uint64_t per_second, uint64_t start) : rate_(per_second), start_(start) {}

  // How many are due by `now` that were not yet sent. After a stall of more than kMaxBehind the schedule
  // moves instead of making it up in one burst, which would overrun whoever receives it.
  uint64_t Due(uint64_t now);
  void Sent() { ++sent_; }
  // When the next one is due.
  uint64_t Next() const;

  static constexpr uint64_t kMaxBehind = 100'000'000;  // Nanoseconds.

 private:
  uint64_t rate_;
  uint64_t start_;
  uint64_t sent_ = 0;  // Since start_.
};

}  // namespace librettos::apps
