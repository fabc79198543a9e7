// A token bucket: `rate` tokens come in each second, until `burst` are there.
//
// One thread at a time. It is kept as the time at which it is full again (the virtual scheduling algorithm of
// ITU-T I.371, annex A): one word, no timer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "guest/platform/platform.h"

namespace librettos::netserver {

class TokenBucket {
 public:
  constexpr TokenBucket(uint32_t rate, uint32_t burst)
      : token_(1'000'000'000 / rate), depth_(Nanoseconds{burst} * token_) {}

  // Takes `tokens`. False: there are fewer, and none was taken.
  bool Take(uint32_t tokens, Nanoseconds now) {
    const Nanoseconds full = After(tokens, now);
    if (full > now + depth_) return false;
    full_at_ = full;
    return true;
  }
  // Takes `tokens` that were used already. What is not there is owed, but never for longer than `max_debt`.
  void Charge(uint32_t tokens, Nanoseconds now, Nanoseconds max_debt) {
    full_at_ = std::min(After(tokens, now), now + depth_ + max_debt);
  }
  // How long until nothing is owed.
  Nanoseconds Debt(Nanoseconds now) const { return full_at_ > now + depth_ ? full_at_ - now - depth_ : 0; }

 private:
  Nanoseconds After(uint32_t tokens, Nanoseconds now) const {
    return std::max(full_at_, now) + tokens * token_;
  }

  Nanoseconds token_;  // Time in which one comes in.
  Nanoseconds depth_;
  Nanoseconds full_at_ = 0;
};

}  // namespace librettos::netserver
