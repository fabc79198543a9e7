// The API's calls on the event loop: a few in each of its turns, so that no flood of them keeps the loop from
// what it supervises.
#pragma once

#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "hypervisor/event_loop.h"

namespace librettos::daemon {

class Turns {
 public:
  static constexpr int kCallsPerTurn = 16;

  explicit Turns(EventLoop& loop) : loop_(loop) {}
  // Any thread. Runs `call` on the loop thread, in order, soon.
  void Add(std::function<void()> call) ABSL_LOCKS_EXCLUDED(mutex_);
  EventLoop& loop() { return loop_; }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  EventLoop& loop_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> calls_ ABSL_GUARDED_BY(mutex_);
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace librettos::daemon
