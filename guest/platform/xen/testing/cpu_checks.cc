// A second CPU, beside the first.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/testing/check.h"
#include "guest/platform/xen/testing/sipi_starter.h"

namespace librettos::xen {
namespace {

constexpr int kRounds = 3000;

std::atomic<unsigned> second_number{0};
std::atomic<bool> second_done{false}, went_back{false}, spoiled{false};
std::atomic<Nanoseconds> seen{0};

// What both do at once: memory that neither may lose to the other, and a clock that goes on between them.
void Work() {
  const auto mark = static_cast<unsigned char>(CurrentCpu() + 1);
  for (int i = 0; i < kRounds; ++i) {
    const size_t size = 16 + i % 3000;
    auto* block = static_cast<unsigned char*>(malloc(size));
    auto* page = static_cast<unsigned char*>(AllocatePages(1));
    memset(block, mark, size);
    page[0] = mark;
    const Nanoseconds before = seen.load();
    if (Now() < before) went_back.store(true);
    seen.store(Now());
    if (block[0] != mark || block[size - 1] != mark || page[0] != mark) spoiled.store(true);
    FreePages(page, 1);
    free(block);
  }
}

void RunSecond(void*) {
  second_number.store(CurrentCpu());
  Work();
  second_done.store(true);
}

void AwaitSecond() {
  const Nanoseconds until = Now() + Nanoseconds{60} * 1000000000;
  while (!second_done.load() && Now() < until) Pause();
}

}  // namespace

void CheckCpus() {
  SetCpuStarter({.start = StartBySipi});
  Check("a CPU is started", StartCpu(1, RunSecond, nullptr).ok());
  Check("a CPU is started once", StartCpu(1, RunSecond, nullptr) == Status(Error::kInUse));
  Work();
  AwaitSecond();
  Check("the second CPU ran", second_done.load());
  Check("the second CPU knows its number", second_number.load() == 1);
  Check("the clock never goes back between CPUs", !went_back.load());
  Check("memory is not given to two CPUs", !spoiled.load());
}

}  // namespace librettos::xen
