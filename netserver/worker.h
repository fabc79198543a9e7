// A forwarding loop on a CPU of its own.
//
// Everything here is called from the server's loop but Run, which is the worker's CPU. The worker owns its
// Forwarder while it turns; while it is stopped (Stop to Resume) the server's loop does. It is stopped
// whenever it is not within a turn, so that one that sleeps need not be woken.
#pragma once

#include <array>
#include <atomic>

#include "guest/platform/cpus.h"
#include "netserver/forwarder.h"

namespace librettos::netserver {

class Worker final : private Work {
 public:
  static constexpr Nanoseconds kMaxSleep = 25'000'000;  // Its part of the server's heartbeat.

  Worker(Cpus& cpus, uint32_t loop, GuestTable& guests, LeaseTable& leases, StatisticsRow* totals,
         Sharing& sharing)
      : cpus_(cpus),
        loop_(loop),
        guests_(guests),
        sharing_(sharing),
        forwarder_(guests, leases, totals, sharing, loop) {}
  Worker(const Worker&) = delete;

  // Stopped at first. The CPU's number is that of the loop.
  Status Start() { return cpus_.Start(loop_, this); }
  // Ends the turn under way, and waits for that.
  void RequestStop() { stop_.store(true, std::memory_order_seq_cst); }
  void AwaitStop() const;
  void Resume();
  // Ends it for good. It was started.
  void End();

  // `guest` signalled: its pairs that are this loop's are looked at.
  void Ring(const Guest& guest);
  // Ends its sleep, if it sleeps.
  void Wake();
  // Grows with every turn.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  Forwarder& forwarder() { return forwarder_; }  // Stopped.

 private:
  static constexpr uint32_t kPairsPerWord = 64 / channel::kMaxQueuePairs;

  void Run() override;
  void Enter();
  void Sleep(Nanoseconds now);
  void TakeRung();

  Cpus& cpus_;
  const uint32_t loop_;
  GuestTable& guests_;
  Sharing& sharing_;
  Forwarder forwarder_;
  // What others write is apart from what the loop writes in every turn.
  alignas(64) std::atomic<bool> stop_{true};
  std::atomic<bool> ending_{false};
  std::atomic<bool> rung_any_{false};
  std::array<std::atomic<uint64_t>, kMaxGuests / kPairsPerWord> rung_{};  // A bit for each pair, by slot.
  alignas(64) std::atomic<bool> outside_{true};  // Of a turn: stopped, if it is to be.
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> turns_{0};
};

}  // namespace librettos::netserver
