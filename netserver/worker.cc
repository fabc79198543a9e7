#include "netserver/worker.h"

#include <algorithm>
#include <bit>

namespace librettos::netserver {

// Stopping. The worker, before a turn: outside_ = false, then looks at stop_. The server's loop: stop_ =
// true, then looks at outside_. Both in the one order of sequentially consistent operations, so that at least
// one sees the other: either the worker does not begin, or the server's loop waits for its end.

void Worker::AwaitStop() const {
  for (uint32_t round = 0; !outside_.load(std::memory_order_seq_cst); ++round) SpinOnce(round);
}

void Worker::Resume() {
  stop_.store(false, std::memory_order_seq_cst);
  cpus_.Wake(loop_);
}

void Worker::End() {
  ending_.store(true, std::memory_order_seq_cst);
  Resume();
  for (uint32_t round = 0; !ended_.load(std::memory_order_acquire); ++round) SpinOnce(round);
}

void Worker::Enter() {
  for (;;) {
    for (uint32_t round = 0; stop_.load(std::memory_order_seq_cst); ++round) SpinOnce(round);
    outside_.store(false, std::memory_order_seq_cst);
    if (!stop_.load(std::memory_order_seq_cst)) return;
    outside_.store(true, std::memory_order_seq_cst);
  }
}

void Worker::Run() {
  Enter();
  while (!ending_.load(std::memory_order_relaxed)) {
    const Nanoseconds now = Now();
    TakeRung();
    const bool worked = forwarder_.Turn(now);
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (sharing_.closed.load(std::memory_order_relaxed)) cpus_.Wake(0);
    if (!worked && forwarder_.CanSleep(now)) {
      Sleep(now);
    } else if (stop_.load(std::memory_order_relaxed)) {
      outside_.store(true, std::memory_order_seq_cst);
      Enter();
    }
  }
  outside_.store(true, std::memory_order_seq_cst);
  ended_.store(true, std::memory_order_release);
}

// A wake is lost no more than a stop is: Ring and Wake look at outside_ after they have said what is new.
void Worker::Sleep(Nanoseconds now) {
  const Nanoseconds retry = forwarder_.nic_retry_at();
  const Nanoseconds until = std::min(retry ? retry : now + kMaxSleep, forwarder_.RestsUntil());
  outside_.store(true, std::memory_order_seq_cst);
  if (!rung_any_.load(std::memory_order_seq_cst) && !ending_.load(std::memory_order_seq_cst)) {
    cpus_.Sleep(loop_, until);
  }
  Enter();
}

void Worker::Wake() {
  if (outside_.load(std::memory_order_seq_cst)) cpus_.Wake(loop_);
}

void Worker::Ring(const Guest& guest) {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < guest.queue_pairs; ++i) bits |= uint64_t{guest.pairs[i].loop == loop_} << i;
  if (!bits) return;
  bits <<= guest.slot % kPairsPerWord * channel::kMaxQueuePairs;
  rung_[guest.slot / kPairsPerWord].fetch_or(bits, std::memory_order_relaxed);
  // Releases the bits.
  rung_any_.store(true, std::memory_order_seq_cst);
  Wake();
}

void Worker::TakeRung() {
  if (!rung_any_.load(std::memory_order_relaxed)) return;
  rung_any_.exchange(false, std::memory_order_seq_cst);
  for (uint32_t word = 0; word < rung_.size(); ++word) {
    if (!rung_[word].load(std::memory_order_relaxed)) continue;
    for (uint64_t bits = rung_[word].exchange(0, std::memory_order_acquire); bits; bits &= bits - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(bits));
      // Who stands there now: a needless look costs nothing.
      Guest* guest = guests_.at(word * kPairsPerWord + bit / channel::kMaxQueuePairs);
      if (guest) forwarder_.Wake(guest->pairs[bit % channel::kMaxQueuePairs]);
    }
  }
}

}  // namespace librettos::netserver
