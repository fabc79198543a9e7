// The loop of a Xen domain: event channels, deferred calls, one timer.
//
// An idle CPU sleeps in hlt. What came since the last look ends the sleep at once (cpu.h, WaitForInterrupt),
// so no wake-up is lost.
#pragma once

#include <vector>

#include "guest/platform/xen/events.h"

namespace librettos::xen {

class XenLoop final : public Loop, private Handler {
 public:
  explicit XenLoop(Events& events) : events_(events) {}
  // Binds the timer. Once, before Wait.
  void Start();

  void Wait(Nanoseconds deadline) override;
  bool stopping() const override { return stopping_; }

  // Calls `handler` once at the end of this round, or in the next Wait, which then does not sleep.
  void RunSoon(Handler* handler);
  // Calls `handler` in every round, and sleeps no longer than `interval` from then on; 0: no more. One at a
  // time: for what has no event, the ejection of a device.
  void Poll(Handler* handler, Nanoseconds interval);
  void Stop() { stopping_ = true; }

 private:
  void OnEvent() override { armed_ = 0; }  // The timer's: it only ends a sleep.
  void Sleep(Nanoseconds deadline);
  void RunDeferred();

  Events& events_;
  std::vector<Handler*> soon_;
  Handler* polled_ = nullptr;
  Nanoseconds interval_ = 0, next_poll_ = 0;
  Nanoseconds armed_ = 0;  // When the timer fires; 0: it is not set.
  bool stopping_ = false;
};

}  // namespace librettos::xen
