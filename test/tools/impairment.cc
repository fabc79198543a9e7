#include "test/tools/impairment.h"

#include <algorithm>
#include <utility>

namespace librettos::test {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
uint64_t Impairment::Random() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

void Impairment::Push(std::span<const std::byte> frame, uint64_t now) {
  ++counters_.frames;
  // All are drawn for every frame, so that one frame's fate does not depend on what became of another.
  const bool lost = Happens(options_.loss), doubled = Happens(options_.duplicate),
             reordered = Happens(options_.reorder);
  const uint64_t jitter = options_.jitter_us == 0 ? 0 : Random() % (options_.jitter_us * 1000 + 1);
  while (!departures_.empty() && departures_.front() <= now) departures_.pop_front();
  if (departures_.size() >= options_.queue_frames) {
    ++counters_.overflowed;
    return;
  }
  line_free_ = std::max(line_free_, now);
  if (options_.kbit_per_s != 0) {
    line_free_ += frame.size() * 8'000'000 / options_.kbit_per_s;
    departures_.push_back(line_free_);
  }
  // It was sent, and has taken its time on the line.
  if (lost) {
    ++counters_.lost;
    return;
  }
  uint64_t arrival = std::max(line_free_ + options_.delay_us * 1000 + jitter, last_arrival_);
  if (reordered) {
    ++counters_.reordered;
    arrival += options_.reorder_us * 1000;
  } else {
    last_arrival_ = arrival;
  }
  counters_.duplicated += doubled;
  for (int copies = doubled ? 2 : 1; copies != 0; --copies) {
    under_way_.emplace(arrival, Frame(frame.begin(), frame.end()));
  }
}

std::optional<Impairment::Frame> Impairment::Pop(uint64_t now) {
  if (under_way_.empty() || next() > now) return std::nullopt;
  return std::move(under_way_.extract(under_way_.begin()).mapped());
}

}  // namespace librettos::test
