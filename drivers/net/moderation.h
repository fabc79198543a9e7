// How long a NIC should hold back the next interrupt, from how much the last ones brought.
//
// Few frames per interrupt: somebody waits for an answer, no delay. Many: the next ones are on their way, and
// one interrupt for all of them is cheaper.
#pragma once

#include <cstdint>

namespace librettos {

class Moderation {
 public:
  static constexpr uint32_t kNone = 0;
  static constexpr uint32_t kSome = 15'000;  // Nanoseconds.
  static constexpr uint32_t kBulk = 50'000;

  // `frames` came since the last interrupt. True: interval() changed.
  bool OnInterrupt(uint64_t frames) {
    if (frames > kMost) frames = kMost;
    average_ = (3 * average_ + static_cast<uint32_t>(frames) * kScale) / 4;
    const uint32_t now = average_ < 4 * kScale ? kNone : average_ < 24 * kScale ? kSome : kBulk;
    const bool changed = now != interval_;
    interval_ = now;
    return changed;
  }
  uint32_t interval() const { return interval_; }

 private:
  static constexpr uint32_t kScale = 16;
  static constexpr uint32_t kMost = 1024;

  uint32_t average_ = 0;  // Of frames per interrupt, times kScale.
  uint32_t interval_ = kNone;
};

}  // namespace librettos
