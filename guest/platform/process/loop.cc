#include "guest/platform/process/loop.h"

#include <errno.h>
#include <time.h>

#include <algorithm>

namespace librettos::process {
namespace {

constexpr int kEventsPerRound = 64;
constexpr Nanoseconds kSecond = 1000000000;
constexpr Nanoseconds kLongestSleep = 3600 * kSecond;

}  // namespace

ProcessLoop::ProcessLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.valid()) Panic("no epoll instance: raise the limit of open files");
}

Status ProcessLoop::Add(int descriptor, uint32_t events, Handler* handler) {
  if (descriptor < 0 || !handler) return Error::kInvalidArgument;
  if (static_cast<size_t>(descriptor) >= entries_.size()) entries_.resize(descriptor + 1);
  Entry& entry = entries_[descriptor];
  const bool known = entry.handler != nullptr;
  ++entry.generation;
  epoll_event event{};
  event.events = events;
  event.data.u64 = uint64_t{entry.generation} << 32 | static_cast<uint32_t>(descriptor);
  if (epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) != 0) {
    entry.handler = nullptr;
    return errno == ENOMEM || errno == ENOSPC ? Error::kExhausted : Error::kInvalidArgument;
  }
  entry.handler = handler;
  return Status();
}

void ProcessLoop::Remove(int descriptor) {
  if (descriptor < 0 || static_cast<size_t>(descriptor) >= entries_.size() || !entries_[descriptor].handler)
    return;
  entries_[descriptor].handler = nullptr;
  ++entries_[descriptor].generation;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void ProcessLoop::RunSoon(Handler* handler) {
  if (std::find(soon_.begin(), soon_.end(), handler) == soon_.end()) soon_.push_back(handler);
}

void ProcessLoop::RunDeferred() {
  // What these defer again is for the next round.
  std::vector<Handler*> round;
  round.swap(soon_);
  for (Handler* handler : round) handler->OnEvent();
}

int ProcessLoop::Await(std::span<epoll_event> events, Nanoseconds sleep) {
  const timespec timeout = {static_cast<time_t>(sleep / kSecond), static_cast<long>(sleep % kSecond)};
  return epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &timeout, nullptr);
}

void ProcessLoop::Sleep(Nanoseconds deadline) {
  const Nanoseconds now = Now();
  last_poll_ = 0;  // The next Wait looks.
  if (!soon_.empty() || deadline <= now) return;
  // All that is watched is level-triggered: it is told of again.
  epoll_event event;
  (void)Await({&event, 1}, std::min(deadline - now, kLongestSleep));
}

void ProcessLoop::Wait(Nanoseconds deadline) {
  const Nanoseconds now = Now();
  Nanoseconds sleep = 0;
  if (soon_.empty()) {
    if (deadline > now) {
      sleep = std::min(deadline - now, kLongestSleep);
    } else if (now - last_poll_ < kPollInterval) {
      return;
    }
  }
  last_poll_ = now;
  epoll_event events[kEventsPerRound];
  const int count = Await(events, sleep);
  for (int i = 0; i < count; ++i) {
    const uint32_t descriptor = static_cast<uint32_t>(events[i].data.u64);
    const Entry& entry = entries_[descriptor];
    if (entry.handler && entry.generation == events[i].data.u64 >> 32) entry.handler->OnEvent();
  }
  if (!soon_.empty()) RunDeferred();
}

}  // namespace librettos::process
