// A Scheduler whose time stands still until the test moves it.
#pragma once

#include <map>
#include <utility>

#include "daemon/scheduler.h"

namespace librettos::daemon {

class FakeScheduler : public Scheduler {
 public:
  TimerId After(absl::Duration delay, std::function<void()> callback) override {
    TimerId id = next_++;
    timers_[{now_ + delay, id}] = std::move(callback);
    return id;
  }
  void Cancel(TimerId timer) override {
    std::erase_if(timers_, [&](const auto& t) { return t.first.second == timer; });
  }
  absl::Duration Monotonic() const override { return now_; }
  absl::Time Wall() const override { return absl::FromUnixSeconds(1'800'000'000) + now_ + wall_ahead_; }

  void SetWallAhead(absl::Duration by) { wall_ahead_ = by; }
  // Fires what is due on the way, in order of time.
  void Advance(absl::Duration by) {
    absl::Duration until = now_ + by;
    while (!timers_.empty() && timers_.begin()->first.first <= until) {
      auto node = timers_.extract(timers_.begin());
      now_ = node.key().first;
      node.mapped()();
    }
    now_ = until;
  }

 private:
  absl::Duration now_ = absl::Hours(1);
  absl::Duration wall_ahead_;
  TimerId next_ = 1;
  std::map<std::pair<absl::Duration, TimerId>, std::function<void()>> timers_;
};

}  // namespace librettos::daemon
