#include "guest/platform/testing/fake_cpus.h"

#include <chrono>

namespace librettos::fake {

FakeCpus::FakeCpus(unsigned count) {
  while (cpus_.size() < count) cpus_.push_back(std::make_unique<Cpu>());
}

FakeCpus::~FakeCpus() {
  for (auto& cpu : cpus_) {
    if (cpu->thread.joinable()) cpu->thread.join();
  }
}

Status FakeCpus::Start(unsigned cpu, Work* work) {
  if (cpu == 0 || cpu >= cpus_.size()) return Error::kInvalidArgument;
  if (cpus_[cpu]->thread.joinable()) return Error::kInUse;
  cpus_[cpu]->thread = std::thread([work] { work->Run(); });
  return {};
}

void FakeCpus::Wake(unsigned cpu) {
  std::lock_guard lock(cpus_[cpu]->mutex);
  cpus_[cpu]->woken = true;
  cpus_[cpu]->condition.notify_one();
}

void FakeCpus::Sleep(unsigned cpu, uint64_t) {
  std::unique_lock lock(cpus_[cpu]->mutex);
  cpus_[cpu]->condition.wait_for(lock, std::chrono::microseconds(200), [&] { return cpus_[cpu]->woken; });
  cpus_[cpu]->woken = false;
}

}  // namespace librettos::fake
