#include "guest/net/sharing.h"

#include <algorithm>

namespace librettos::guest {

void Sharing::Unlock() {
  if (!shared_) return;
  // After this the program is on its way, and looks by itself.
  const bool wake = program_sleeps_ && news_.load(std::memory_order_relaxed);
  if (wake) program_sleeps_ = false;
  lock_.Unlock();
  if (wake) platform_.cpus().Wake(kProgramCpu);
}

void Sharing::Wait(Nanoseconds deadline) {
  if (!shared_) return platform_.loop().Wait(deadline);
  stack_sleeps_ = true;
  Unlock();
  platform_.loop().Sleep(deadline);
  lock_.Lock();
  stack_sleeps_ = false;
  platform_.loop().Wait(0);
}

bool Sharing::ProgramLives() {
  const bool lives = !shared_ || called_ || program_sleeps_;
  called_ = false;
  return lives;
}

void Sharing::Enter() {
  if (!shared_) return;
  lock_.Lock();
  called_ = true;
}

void Sharing::Leave(bool changed) {
  if (!shared_) return;
  const bool wake = changed && stack_sleeps_;
  if (wake) stack_sleeps_ = false;  // It is on its way: once is enough.
  lock_.Unlock();
  if (wake) platform_.cpus().Wake(0);
}

void Sharing::Await(Nanoseconds deadline, bool changed) {
  news_.store(false, std::memory_order_relaxed);
  Leave(changed);
  const Nanoseconds spin_until = std::min(deadline, Now() + kSpin);
  uint32_t round = 0;
  while (!news_.load(std::memory_order_relaxed) && Now() < spin_until) SpinOnce(round++);
  lock_.Lock();
  if (!news_.load(std::memory_order_relaxed) && Now() < deadline) {
    program_sleeps_ = true;
    lock_.Unlock();
    platform_.cpus().Sleep(kProgramCpu, deadline);
    lock_.Lock();
    program_sleeps_ = false;
  }
  called_ = true;
}

}  // namespace librettos::guest
