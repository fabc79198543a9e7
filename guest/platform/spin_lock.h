// Mutual exclusion between the CPUs of a domain, for some microseconds at a time. First come, first served.
#pragma once

#include <atomic>
#include <cstdint>

#include "guest/platform/cpus.h"

namespace librettos {

// Between two looks at what another CPU is about to change; `round` counts them.
inline void SpinOnce(uint32_t round) {
  constexpr uint32_t kSpins = 64;  // Then that CPU may be waiting for this one.
  if (round % kSpins == kSpins - 1) return Yield();
#if defined(__x86_64__)
  asm volatile("pause");
#endif
}

class SpinLock {
 public:
  void Lock() {
    // Relaxed: the number alone orders nothing.
    const uint32_t mine = next_.fetch_add(1, std::memory_order_relaxed);
    // Acquire: what the holders before wrote is seen.
    for (uint32_t round = 0; serving_.load(std::memory_order_acquire) != mine; ++round) SpinOnce(round);
  }
  // Release: what was written under the lock is seen by the next holder. Only the holder writes the word.
  void Unlock() { serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  std::atomic<uint32_t> next_{0};
  std::atomic<uint32_t> serving_{0};
};

// Holds `lock` while it lives, if there is need.
class SpinLockHolder {
 public:
  explicit SpinLockHolder(SpinLock& lock, bool needed = true) : lock_(needed ? &lock : nullptr) {
    if (lock_) lock_->Lock();
  }
  ~SpinLockHolder() {
    if (lock_) lock_->Unlock();
  }
  SpinLockHolder(const SpinLockHolder&) = delete;

 private:
  SpinLock* const lock_;
};

}  // namespace librettos
