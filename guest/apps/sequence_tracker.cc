#include "guest/apps/sequence_tracker.h"

#include <algorithm>
#include <cstring>

namespace librettos::apps {

// Sets the number's bit and returns what it was.
bool SequenceTracker::TestAndSet(uint64_t number) {
  uint64_t& word = seen_[number % kSequenceWindow / 64];
  const uint64_t bit = uint64_t{1} << (number % 64);
  const bool was = (word & bit) != 0;
  word |= bit;
  return was;
}

void SequenceTracker::OnArrival(uint64_t number, uint64_t time) {
  if (!any()) {
    lowest_ = highest_ = number;
    last_time_ = time;
    received_ = 1;
    TestAndSet(number);
    return;
  }
  if (time > last_time_) {
    max_gap_ = std::max(max_gap_, time - last_time_);
    last_time_ = time;
  }
  if (number > highest_) {
    // The numbers between enter the window as missing.
    if (number - highest_ >= kSequenceWindow) {
      std::memset(seen_, 0, sizeof seen_);
    } else {
      for (uint64_t n = highest_ + 1; n != number; ++n)
        seen_[n % kSequenceWindow / 64] &= ~(uint64_t{1} << (n % 64));
      seen_[number % kSequenceWindow / 64] &= ~(uint64_t{1} << (number % 64));
    }
    highest_ = number;
    TestAndSet(number);
    ++received_;
    return;
  }
  if (highest_ - number >= kSequenceWindow) {
    ++late_;
    return;
  }
  if (TestAndSet(number)) {
    ++duplicates_;
    return;
  }
  lowest_ = std::min(lowest_, number);
  ++received_;
  ++reordered_;
}

}  // namespace librettos::apps
