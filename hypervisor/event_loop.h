// The daemon's one event loop: descriptors, timers and closures posted from other threads (gRPC's).
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace librettos {

class EventLoop {
 public:
  using TimerId = uint64_t;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  // The clock of timers: it does not jump when the host's time is set. Any thread.
  static absl::Duration Monotonic();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;

  // Loop thread only. `events` as for epoll (EPOLLIN …, level-triggered). The descriptor stays the caller's.
  void Watch(int descriptor, uint32_t events, std::function<void(uint32_t events)> callback);
  void Modify(int descriptor, uint32_t events);
  void Unwatch(int descriptor);  // Safe from within callbacks; no call for it follows.
  TimerId After(absl::Duration delay, std::function<void()> callback);
  void Cancel(TimerId timer);  // Unknown and fired timers are ignored.

  // Any thread. Runs `closure` on the loop thread, in order of posting.
  void Post(std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_);
  // Any other thread: runs `closure` on the loop thread and waits for it. The loop must be running (what was
  // posted before Loop returns is still run; afterwards nobody would).
  void Run(const std::function<void()>& closure);

  void Loop();  // Until Stop.
  void Stop();  // Any thread.

 private:
  EventLoop() = default;
  struct Watched {
    uint32_t generation = 0;  // Tells an event for an earlier watch of the same number from one for this.
    std::shared_ptr<std::function<void(uint32_t)>> callback;
  };
  void RunTimers();
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);
  int NextTimeoutMs() const;

  int epoll_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopped_ = false;
  uint32_t generation_ = 0;
  std::map<int, Watched> watched_;
  TimerId next_timer_ = 1;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;  // By due time, monotonic ns.
  std::map<TimerId, int64_t> due_;
  absl::Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace librettos
