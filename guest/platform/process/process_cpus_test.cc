#include "guest/platform/process/process_cpus.h"

#include <gtest/gtest.h>

namespace librettos::process {
namespace {

constexpr uint32_t kRounds = 20000;
constexpr Nanoseconds kLong = 3600'000'000'000;

TEST(ProcessCpus, OneIsTheLoops) {
  ProcessLoop loop;
  ProcessCpus cpus(loop, 1);
  EXPECT_EQ(cpus.count(), 1u);
  struct Nothing final : Work {
    void Run() override {}
  } work;
  EXPECT_EQ(cpus.Start(0, &work).error(), Error::kInvalidArgument);
  EXPECT_EQ(cpus.Start(1, &work).error(), Error::kInvalidArgument);
}

TEST(ProcessCpus, EachRunsOneWork) {
  ProcessLoop loop;
  ProcessCpus cpus(loop, 3);
  EXPECT_EQ(cpus.count(), 3u);
  struct Count final : Work {
    void Run() override { ++runs; }
    std::atomic<int> runs{0};
  } first, second;
  EXPECT_TRUE(cpus.Start(1, &first).ok());
  EXPECT_TRUE(cpus.Start(2, &second).ok());
  EXPECT_EQ(cpus.Start(1, &second).error(), Error::kInUse);
  while (first.runs == 0 || second.runs == 0) Yield();
  EXPECT_EQ(first.runs, 1);
  EXPECT_EQ(second.runs, 1);
}

// To and fro: no wake is lost, or this stands still.
TEST(ProcessCpus, NoWakeIsLost) {
  struct Answer final : Work {
    explicit Answer(Cpus& cpus) : cpus(cpus) {}
    void Run() override {
      while (answered.load() < kRounds) {
        while (asked.load() == answered.load()) cpus.Sleep(1, Now() + kLong);
        answered.fetch_add(1);
        cpus.Wake(0);
      }
    }
    Cpus& cpus;
    std::atomic<uint32_t> asked{0}, answered{0};
  };
  ProcessLoop loop;
  ProcessCpus cpus(loop, 2);
  Answer answer(cpus);
  ASSERT_TRUE(cpus.Start(1, &answer).ok());
  for (uint32_t i = 1; i <= kRounds; ++i) {
    answer.asked.store(i);
    cpus.Wake(1);
    while (answer.answered.load() < i) loop.Wait(Now() + kLong);
  }
}

TEST(ProcessCpus, SleepEndsAtItsDeadline) {
  struct Sleeper final : Work {
    explicit Sleeper(Cpus& cpus) : cpus(cpus) {}
    void Run() override {
      cpus.Sleep(1, Now() + 1'000'000);
      done.store(true);
    }
    Cpus& cpus;
    std::atomic<bool> done{false};
  };
  ProcessLoop loop;
  ProcessCpus cpus(loop, 2);
  Sleeper sleeper(cpus);
  ASSERT_TRUE(cpus.Start(1, &sleeper).ok());
  while (!sleeper.done.load()) Yield();
}

}  // namespace
}  // namespace librettos::process
