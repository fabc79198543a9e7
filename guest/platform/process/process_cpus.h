// The CPUs of a process domain: the main thread, which runs the loop, and a thread for each further one.
//
// The threads are started with the object, before the sandbox that allows no new ones, and are under the same
// sandbox afterwards (sandbox.h). They sleep on a futex, so that waking one that is awake costs nothing but a
// store.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>

#include "guest/platform/process/descriptor.h"
#include "guest/platform/process/loop.h"

namespace librettos::process {

class ProcessCpus final : public Cpus, private Handler {
 public:
  static constexpr unsigned kMaxCpus = 32;

  // Of `count` CPUs those that the kernel gives a thread for. `loop` outlives it.
  ProcessCpus(ProcessLoop& loop, unsigned count);
  // Every work has returned.
  ~ProcessCpus();
  ProcessCpus(const ProcessCpus&) = delete;

  unsigned count() const override { return count_; }
  Status Start(unsigned cpu, Work* work) override;
  void Wake(unsigned cpu) override;
  void Sleep(unsigned cpu, Nanoseconds deadline) override;

 private:
  // On a cache line of its own: others write to it.
  struct alignas(64) Cpu {
    std::atomic<uint32_t> woken{0};  // 1: its next sleep ends at once. A futex.
    std::atomic<Work*> work{nullptr};
    ProcessCpus* all = nullptr;
    unsigned number = 0;
    pthread_t thread{};
  };
  static void* RunThread(void* cpu);
  void RunCpu(Cpu& cpu);
  void OnEvent() override;  // The loop was woken.

  ProcessLoop& loop_;
  Descriptor loop_woken_;  // An eventfd.
  unsigned count_ = 1;
  std::atomic<unsigned> running_{0};  // Threads that are past their start.
  std::atomic<bool> ending_{false};
  std::array<Cpu, kMaxCpus> cpus_;
};

}  // namespace librettos::process
