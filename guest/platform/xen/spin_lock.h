// Mutual exclusion between CPUs, for a few instructions at a time.
#pragma once

#include <atomic>

namespace librettos::xen {

class SpinLock {
 public:
  void Lock() {
    // Acquire: what the last holder wrote is seen.
    while (held_.exchange(true, std::memory_order_acquire)) {
      while (held_.load(std::memory_order_relaxed)) asm volatile("pause");
    }
  }
  // Release: what was written under the lock is seen by the next holder.
  void Unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

class SpinLockHolder {
 public:
  explicit SpinLockHolder(SpinLock& lock) : lock_(lock) { lock_.Lock(); }
  ~SpinLockHolder() { lock_.Unlock(); }
  SpinLockHolder(const SpinLockHolder&) = delete;

 private:
  SpinLock& lock_;
};

}  // namespace librettos::xen
