// CPUs of a fake domain: threads of the test's process.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "guest/platform/cpus.h"

namespace librettos::fake {

class FakeCpus final : public Cpus {
 public:
  explicit FakeCpus(unsigned count);
  ~FakeCpus();

  unsigned count() const override { return static_cast<unsigned>(cpus_.size()); }
  Status Start(unsigned cpu, Work* work) override;
  // The fake loop never sleeps.
  void Wake(unsigned cpu) override;
  // The clock may stand: it sleeps for a moment of real time at most.
  void Sleep(unsigned cpu, uint64_t deadline) override;

 private:
  struct Cpu {
    std::mutex mutex;
    std::condition_variable condition;
    bool woken = false;
    std::thread thread;
  };
  std::vector<std::unique_ptr<Cpu>> cpus_;
};

}  // namespace librettos::fake
