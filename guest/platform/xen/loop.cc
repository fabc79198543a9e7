#include "guest/platform/xen/loop.h"

#include <algorithm>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/hypercall.h"

namespace librettos::xen {
namespace {

constexpr Nanoseconds kLongestSleep = Nanoseconds{3600} * 1000000000;

}  // namespace

void XenLoop::Start() {
  const auto timer = events_.BindVirq(VIRQ_TIMER);
  if (!timer.ok()) Panic("no timer");
  events_.SetHandler(timer.value(), this);
}

void XenLoop::RunSoon(Handler* handler) {
  if (std::find(soon_.begin(), soon_.end(), handler) == soon_.end()) soon_.push_back(handler);
}

void XenLoop::Poll(Handler* handler, Nanoseconds interval) {
  polled_ = interval ? handler : nullptr;
  interval_ = interval;
  next_poll_ = Now() + interval;
}

void XenLoop::RunDeferred() {
  // What these defer again is for the next round.
  for (size_t left = soon_.size(); left > 0; --left) {
    Handler* handler = soon_.front();
    soon_.erase(soon_.begin());
    handler->OnEvent();
  }
}

void XenLoop::Wait(Nanoseconds deadline) {
  if (polled_) deadline = std::min(deadline, next_poll_);
  if (soon_.empty() && deadline != 0) Sleep(deadline);
  events_.Dispatch();
  RunDeferred();
  if (polled_ && Now() >= next_poll_) {
    next_poll_ = Now() + interval_;
    polled_->OnEvent();
  }
}

void XenLoop::Sleep(Nanoseconds deadline) {
  while (!events_.pending()) {
    const Nanoseconds now = Now();
    if (now >= deadline) return;
    if (armed_ == 0 || armed_ > deadline) {
      armed_ = std::min(deadline, now + kLongestSleep);
      vcpu_set_singleshot_timer_t timer = {.timeout_abs_ns = armed_, .flags = 0};
      if (VcpuOp(VCPUOP_set_singleshot_timer, CurrentCpu(), &timer) != 0) Panic("Xen refuses the timer");
    }
    WaitForInterrupt();
  }
}

}  // namespace librettos::xen
