// Tells that a process has ended before its pidfd does.
//
// A pidfd is readable once the kernel has released the process's memory, which takes the longer the more it
// has mapped: milliseconds for a server of hundreds of guests. But its threads execute nothing any more from
// before that on. The kernel says so by itself where the process has set a robust futex (set_robust_list(2)):
// it marks the word, in memory that is shared with us, and wakes who waits for it.
//
// The word is only a hint: the process could write it while it lives. So it is believed only if every thread
// of it is seen exiting (task_state.h); if not, the process is not watched any more. Its pidfd tells, late
// but surely, and always must be watched, too. One thread waits for all; where the kernel has no futex_waitv
// (before 5.16) or forbids it, nothing is ever told here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/process/grants.h"

namespace librettos::process {

class DeathWatch {
 public:
  static constexpr size_t kMaxWatched = 127;  // FUTEX_WAITV_MAX less one. Others are not watched.

  // `ended` is called with the wait status, from the watch's thread.
  explicit DeathWatch(std::function<void(hypervisor::DomainId, int status)> ended);
  ~DeathWatch();
  DeathWatch(const DeathWatch&) = delete;

  // `life` holds the word, guest/platform/process/life.h. Anew for the same id: instead of the earlier.
  void Add(hypervisor::DomainId id, pid_t pid, uint64_t start_time, const Grants::Memory& life)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(hypervisor::DomainId id) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t watched() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Word;
  struct Watched {
    pid_t pid;
    uint64_t start_time;
    std::shared_ptr<const Word> word;
  };
  using Table = std::map<hypervisor::DomainId, Watched>;

  void Run();
  // Waits for a word to change, or for the table to. False: it cannot.
  bool Wait(uint32_t turn, const Table& table);
  void Confirm(hypervisor::DomainId id, const Watched& watched);
  void Wake();

  const std::function<void(hypervisor::DomainId, int)> ended_;
  mutable absl::Mutex mutex_;
  Table table_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint32_t> turn_ = 0;  // Grows with each change of the table; the thread waits on it, too.
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace librettos::process
