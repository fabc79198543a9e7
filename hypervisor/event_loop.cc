#include "hypervisor/event_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace librettos {
namespace {

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

// The descriptor and the generation of its watch, as epoll gives them back.
uint64_t Tag(int descriptor, uint32_t generation) {
  return uint64_t{generation} << 32 | static_cast<uint32_t>(descriptor);
}

}  // namespace

absl::Duration EventLoop::Monotonic() { return absl::Nanoseconds(MonotonicNs()); }

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  loop->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->epoll_ < 0 || loop->wake_ < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make an event loop: ", strerror(errno), "; raise the limit of open files"));
  }
  EventLoop* raw = loop.get();
  loop->Watch(loop->wake_, EPOLLIN, [raw](uint32_t) {
    uint64_t count;
    if (read(raw->wake_, &count, sizeof(count)) > 0) raw->RunPosted();
  });
  return loop;
}

EventLoop::~EventLoop() {
  if (wake_ >= 0) close(wake_);
  if (epoll_ >= 0) close(epoll_);
}

void EventLoop::Watch(int descriptor, uint32_t events, std::function<void(uint32_t)> callback) {
  Unwatch(descriptor);
  Watched& watched = watched_[descriptor];
  watched.generation = ++generation_;
  watched.callback = std::make_shared<std::function<void(uint32_t)>>(std::move(callback));
  epoll_event event{.events = events, .data = {.u64 = Tag(descriptor, watched.generation)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
}

void EventLoop::Modify(int descriptor, uint32_t events) {
  auto found = watched_.find(descriptor);
  if (found == watched_.end()) return;
  epoll_event event{.events = events, .data = {.u64 = Tag(descriptor, found->second.generation)}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void EventLoop::Unwatch(int descriptor) {
  if (watched_.erase(descriptor) > 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

EventLoop::TimerId EventLoop::After(absl::Duration delay, std::function<void()> callback) {
  const int64_t due = MonotonicNs() + std::max<int64_t>(0, absl::ToInt64Nanoseconds(delay));
  const TimerId timer = next_timer_++;
  timers_.emplace(std::make_pair(due, timer), std::move(callback));
  due_.emplace(timer, due);
  return timer;
}

void EventLoop::Cancel(TimerId timer) {
  auto found = due_.find(timer);
  if (found == due_.end()) return;
  timers_.erase({found->second, timer});
  due_.erase(found);
}

void EventLoop::Post(std::function<void()> closure) {
  {
    absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(closure));
  }
  const uint64_t one = 1;
  // Fails only if the counter is full, and then the loop is about to wake up anyway.
  [[maybe_unused]] ssize_t written = write(wake_, &one, sizeof(one));
}

void EventLoop::Run(const std::function<void()>& closure) {
  absl::Notification done;
  Post([&] {
    closure();
    done.Notify();
  });
  done.WaitForNotification();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> closures;
  {
    absl::MutexLock lock(&mutex_);
    closures.swap(posted_);
  }
  for (auto& closure : closures) closure();
}

void EventLoop::RunTimers() {
  const int64_t now = MonotonicNs();
  // Timers set by these callbacks wait for the next turn, so that none can hold the loop.
  const TimerId limit = next_timer_;
  for (auto next = timers_.begin(); next != timers_.end() && next->first.first <= now;) {
    if (next->first.second >= limit) {
      ++next;
      continue;
    }
    auto callback = std::move(next->second);
    due_.erase(next->first.second);
    timers_.erase(next);
    callback();
    next = timers_.begin();
  }
}

int EventLoop::NextTimeoutMs() const {
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - MonotonicNs();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left + 999'999) / 1'000'000, 1'000'000));
}

void EventLoop::Loop() {
  std::array<epoll_event, 64> events;
  while (!stopped_.load(std::memory_order_acquire)) {  // Pairs with Stop's release.
    const int count = epoll_wait(epoll_, events.data(), events.size(), NextTimeoutMs());
    for (int i = 0; i < count; ++i) {
      auto found = watched_.find(static_cast<int>(events[i].data.u64 & 0xffffffff));
      // Unwatched, or replaced, by a callback earlier in this batch.
      if (found == watched_.end() || found->second.generation != events[i].data.u64 >> 32) continue;
      auto callback = found->second.callback;  // Survives an Unwatch from within.
      (*callback)(events[i].events);
    }
    RunTimers();
  }
  RunPosted();
  stopped_.store(false, std::memory_order_release);  // Loop may be called again.
}

void EventLoop::Stop() {
  stopped_.store(true, std::memory_order_release);
  Post([] {});
}

}  // namespace librettos
