// What became of a stream of numbered packets: received, lost, duplicated, reordered, and the longest pause.
//
// Numbers are 64 bits wide and do not wrap. A number is remembered for kSequenceWindow numbers; whatever
// comes later than that can no longer be told from a duplicate and is counted as late.
#pragma once

#include <cstdint>

namespace librettos::apps {

inline constexpr uint64_t kSequenceWindow = 1 << 16;

class SequenceTracker {
 public:
  // Number `number` arrived at `time` (nanoseconds, monotonic).
  void OnArrival(uint64_t number, uint64_t time);
  void Reset() { *this = SequenceTracker(); }

  uint64_t received() const { return received_; }  // Different numbers.
  uint64_t duplicates() const { return duplicates_; }
  uint64_t reordered() const { return reordered_; }  // Came after a higher one; not lost.
  uint64_t late() const { return late_; }            // Too late to tell; not in `received`.
  uint64_t lowest() const { return lowest_; }
  uint64_t highest() const { return highest_; }
  // Numbers between the lowest and the highest that came which never did.
  uint64_t lost() const { return any() ? highest_ - lowest_ + 1 - received_ : 0; }
  uint64_t max_gap() const { return max_gap_; }  // Nanoseconds between one arrival and the next.
  bool any() const { return received_ != 0; }

 private:
  bool TestAndSet(uint64_t number);

  uint64_t received_ = 0, duplicates_ = 0, reordered_ = 0, late_ = 0;
  uint64_t lowest_ = 0, highest_ = 0;
  uint64_t last_time_ = 0, max_gap_ = 0;
  uint64_t seen_[kSequenceWindow / 64] = {};  // Bit n % window: number n of the window below highest_ came.
};

}  // namespace librettos::apps
