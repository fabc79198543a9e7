#include "guest/platform/process/process_cpus.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>

namespace librettos::process {
namespace {

constexpr Nanoseconds kSecond = 1000000000;
constexpr Nanoseconds kLongestSleep = 3600 * kSecond;

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void FutexWait(std::atomic<uint32_t>& word, Nanoseconds deadline) {
  const timespec until = {static_cast<time_t>(deadline / kSecond), static_cast<long>(deadline % kSecond)};
  // The deadline of this one is absolute, on the clock of Now(). That it fails or ends early is harmless.
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace

ProcessCpus::ProcessCpus(ProcessLoop& loop, unsigned count) : loop_(loop) {
  count = std::min(count, kMaxCpus);
  if (count < 2) return;
  loop_woken_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop_woken_.valid() || !loop_.Add(loop_woken_.get(), EPOLLIN, this).ok()) {
    Log("platform: one CPU only, as there is no event to wake the loop by");
    return;
  }
  for (; count_ < count; ++count_) {
    Cpu& cpu = cpus_[count_];
    cpu.all = this;
    cpu.number = count_;
    if (pthread_create(&cpu.thread, nullptr, &RunThread, &cpu) != 0) {
      Log("platform: the kernel gives fewer threads than the domain has CPUs");
      break;
    }
  }
  // What a thread's start asks of the kernel, the sandbox forbids.
  while (running_.load(std::memory_order_acquire) + 1 < count_) sched_yield();
}

ProcessCpus::~ProcessCpus() {
  ending_.store(true, std::memory_order_release);
  for (unsigned i = 1; i < count_; ++i) {
    Wake(i);
    pthread_join(cpus_[i].thread, nullptr);
  }
  if (loop_woken_.valid()) loop_.Remove(loop_woken_.get());
}

Status ProcessCpus::Start(unsigned cpu, Work* work) {
  if (cpu == 0 || cpu >= count_ || !work) return Error::kInvalidArgument;
  Work* none = nullptr;
  // Release: the thread finds what stands behind it.
  if (!cpus_[cpu].work.compare_exchange_strong(none, work, std::memory_order_release)) return Error::kInUse;
  Wake(cpu);
  return {};
}

void* ProcessCpus::RunThread(void* cpu) {
  static_cast<Cpu*>(cpu)->all->RunCpu(*static_cast<Cpu*>(cpu));
  return nullptr;
}

void ProcessCpus::RunCpu(Cpu& cpu) {
  running_.fetch_add(1, std::memory_order_release);
  for (;;) {
    if (Work* work = cpu.work.load(std::memory_order_acquire)) return work->Run();
    if (ending_.load(std::memory_order_acquire)) return;
    Sleep(cpu.number, Now() + kLongestSleep);
  }
}

void ProcessCpus::Wake(unsigned cpu) {
  if (cpu >= count_) return;
  // Release: what was written before is seen by who finds the word set.
  if (cpus_[cpu].woken.exchange(1, std::memory_order_acq_rel) != 0) return;
  if (cpu != 0) return FutexWake(cpus_[cpu].woken);
  const uint64_t one = 1;
  (void)!write(loop_woken_.get(), &one, sizeof(one));
}

void ProcessCpus::Sleep(unsigned cpu, Nanoseconds deadline) {
  std::atomic<uint32_t>& woken = cpus_[cpu].woken;
  // Acquire: see Wake.
  if (woken.exchange(0, std::memory_order_acq_rel) != 0) return;
  FutexWait(woken, std::min(deadline, Now() + kLongestSleep));
  woken.exchange(0, std::memory_order_acq_rel);
}

void ProcessCpus::OnEvent() {
  uint64_t wakes;
  // Before the word is cleared: else this could take away an event whose word stays set.
  (void)!read(loop_woken_.get(), &wakes, sizeof(wakes));
  cpus_[0].woken.exchange(0, std::memory_order_acq_rel);
}

}  // namespace librettos::process
