// The Scheduler of the running daemon.
#pragma once

#include <utility>

#include "absl/time/clock.h"
#include "daemon/scheduler.h"
#include "hypervisor/event_loop.h"

namespace librettos::daemon {

class LoopScheduler : public Scheduler {
 public:
  explicit LoopScheduler(EventLoop& loop) : loop_(loop) {}
  TimerId After(absl::Duration delay, std::function<void()> callback) override {
    return loop_.After(delay, std::move(callback));
  }
  void Cancel(TimerId timer) override { loop_.Cancel(timer); }
  absl::Duration Monotonic() const override { return EventLoop::Monotonic(); }
  absl::Time Wall() const override { return absl::Now(); }

 private:
  EventLoop& loop_;
};

}  // namespace librettos::daemon
