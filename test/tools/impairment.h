// One direction of an imperfect link: a bounded queue before a line of some rate, then delay, loss,
// duplication and reordering.
//
// A pure data structure that is told the time (nanoseconds that do not go back) and does nothing by itself.
// The same seed, options and pushes give the same fates. Single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace librettos::test {

struct LinkOptions {
  uint32_t loss = 0, duplicate = 0, reorder = 0;  // Per mille of frames, drawn for each by itself.
  uint64_t delay_us = 0;
  uint64_t jitter_us = 0;          // Up to this is added to the delay, evenly; it does not reorder.
  uint64_t reorder_us = 1000;      // A reordered frame comes later by this; those behind it overtake it.
  uint64_t kbit_per_s = 0;         // 0: any.
  size_t queue_frames = SIZE_MAX;  // Waiting for the line, if it has a rate; more are dropped.
};

struct LinkCounters {
  uint64_t frames = 0;  // Pushed.
  uint64_t lost = 0, duplicated = 0, reordered = 0, overflowed = 0;
};

class Impairment {
 public:
  using Frame = std::vector<std::byte>;

  Impairment(const LinkOptions& options, uint64_t seed) : options_(options), state_(seed) {}

  void Push(std::span<const std::byte> frame, uint64_t now);
  // The next frame that has arrived at the other end by `now`.
  std::optional<Frame> Pop(uint64_t now);
  // When the next one arrives; UINT64_MAX: none is under way.
  uint64_t next() const { return under_way_.empty() ? UINT64_MAX : under_way_.begin()->first; }
  const LinkCounters& counters() const { return counters_; }

 private:
  uint64_t Random();
  bool Happens(uint32_t per_mille) { return Random() % 1000 < per_mille; }

  const LinkOptions options_;
  uint64_t state_;
  LinkCounters counters_;
  uint64_t line_free_ = 0;
  uint64_t last_arrival_ = 0;                 // Of those that were not reordered.
  std::deque<uint64_t> departures_;           // Of frames that are not past the line yet.
  std::multimap<uint64_t, Frame> under_way_;  // By arrival; equal ones in the order of insertion.
};

}  // namespace librettos::test
