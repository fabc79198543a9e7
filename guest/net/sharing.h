// The stack between two CPUs: that of the loop, which turns it, and that of the program, whose calls use it
// under the same lock.
//
// The stack's side holds the lock but while it sleeps, and lets the program in between two looks at the
// rings. A program that waits sleeps until there is news; a stack that sleeps is woken by a call that left it
// something to do. With one CPU nothing of this has any effect.
#pragma once

#include <atomic>

#include "guest/platform/platform.h"
#include "guest/platform/spin_lock.h"

namespace librettos::guest {

class Sharing final {
 public:
  static constexpr unsigned kProgramCpu = 1;
  static constexpr Nanoseconds kSpin = 20'000;  // How long a program looks for news before it sleeps.

  explicit Sharing(Platform& platform) : platform_(platform) {}
  // Before the program runs.
  void Begin() { shared_ = true; }
  // After it.
  void End() { shared_ = false; }
  bool shared() const { return shared_; }

  // ---- The stack's side, on the loop's CPU.
  void Lock() {
    if (shared_) lock_.Lock();
  }
  void Unlock();
  // Lets the program in if it waits for that.
  void Pass() {
    if (!shared_) return;
    Unlock();
    lock_.Lock();
  }
  // Loop::Wait, with the program let in while it sleeps.
  void Wait(Nanoseconds deadline);
  // Under the lock: there is something that a program may wait for.
  void News() { news_.store(true, std::memory_order_relaxed); }
  // Under the lock: the program has called, or waits, since this was last asked.
  bool ProgramLives();

  // ---- The program's side.
  void Enter();
  // `changed`: the stack may have to do something about it.
  void Leave(bool changed);
  // Entered: returns, entered again, once there is news, or after `deadline`, or earlier. `changed` as above.
  void Await(Nanoseconds deadline, bool changed);

 private:
  Platform& platform_;
  bool shared_ = false;
  SpinLock lock_;
  // Under the lock, but that the program looks at news_ without.
  std::atomic<bool> news_{false};
  bool stack_sleeps_ = false;
  bool program_sleeps_ = false;
  bool called_ = false;
};

}  // namespace librettos::guest
