#include "test/tools/impairment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace librettos::test {
namespace {

using Numbers = std::vector<uint32_t>;

constexpr uint64_t kMicrosecond = 1000;

void Push(Impairment& link, uint32_t number, uint64_t now, size_t bytes = 4) {
  std::vector<std::byte> frame(bytes);
  memcpy(frame.data(), &number, sizeof number);
  link.Push(frame, now);
}

Numbers Take(Impairment& link, uint64_t now) {
  Numbers numbers;
  while (auto frame = link.Pop(now)) {
    memcpy(&numbers.emplace_back(), frame->data(), sizeof(uint32_t));
  }
  return numbers;
}

Numbers Pass(const LinkOptions& options, uint64_t seed, uint32_t count, LinkCounters* counters = nullptr) {
  Impairment link(options, seed);
  for (uint32_t i = 0; i < count; ++i) Push(link, i, i * kMicrosecond);
  if (counters != nullptr) *counters = link.counters();
  return Take(link, UINT64_MAX - 1);
}

TEST(Impairment, APerfectLinkPassesAllAtOnceAndInOrder) {
  Impairment link({}, 1);
  EXPECT_EQ(link.next(), UINT64_MAX);
  Push(link, 1, 5);
  Push(link, 2, 5);
  EXPECT_EQ(link.next(), 5u);
  EXPECT_EQ(Take(link, 4), Numbers{});
  EXPECT_EQ(Take(link, 5), (Numbers{1, 2}));
  EXPECT_EQ(link.next(), UINT64_MAX);
}

TEST(Impairment, DelayIsThatOfEachFrame) {
  Impairment link({.delay_us = 10}, 1);
  Push(link, 1, 0);
  Push(link, 2, 3 * kMicrosecond);
  EXPECT_EQ(Take(link, 10 * kMicrosecond - 1), Numbers{});
  EXPECT_EQ(Take(link, 10 * kMicrosecond), Numbers{1});
  EXPECT_EQ(link.next(), 13 * kMicrosecond);
}

TEST(Impairment, LosesAsManyAsAskedFor) {
  LinkCounters counters;
  const Numbers passed = Pass({.loss = 10}, 42, 100'000, &counters);
  EXPECT_EQ(counters.frames, 100'000u);
  EXPECT_EQ(passed.size() + counters.lost, 100'000u);
  EXPECT_GT(counters.lost, 900u);
  EXPECT_LT(counters.lost, 1100u);
  EXPECT_EQ(Pass({.loss = 1000}, 42, 100).size(), 0u);
}

TEST(Impairment, TheSeedDecides) {
  const LinkOptions options{.loss = 100, .duplicate = 50, .reorder = 50, .jitter_us = 7};
  EXPECT_EQ(Pass(options, 7, 1000), Pass(options, 7, 1000));
  EXPECT_NE(Pass(options, 7, 1000), Pass(options, 8, 1000));
}

TEST(Impairment, DuplicatesFollowTheirOriginal) {
  EXPECT_EQ(Pass({.duplicate = 1000}, 1, 3), (Numbers{0, 0, 1, 1, 2, 2}));
}

TEST(Impairment, JitterDoesNotReorder) {
  const Numbers passed = Pass({.delay_us = 10, .jitter_us = 1000}, 3, 1000);
  EXPECT_EQ(passed.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(passed.begin(), passed.end()));
}

TEST(Impairment, ReorderedFramesAreOvertaken) {
  LinkCounters counters;
  const Numbers passed = Pass({.reorder = 100, .reorder_us = 5}, 3, 1000, &counters);
  EXPECT_EQ(passed.size(), 1000u);
  EXPECT_GT(counters.reordered, 50u);
  EXPECT_FALSE(std::is_sorted(passed.begin(), passed.end()));
}

TEST(Impairment, TheLineTakesItsTime) {
  Impairment link({.kbit_per_s = 8000}, 1);  // A byte each microsecond.
  Push(link, 1, 0, 100);
  Push(link, 2, 0, 50);
  EXPECT_EQ(Take(link, 100 * kMicrosecond), Numbers{1});
  EXPECT_EQ(Take(link, 150 * kMicrosecond - 1), Numbers{});
  EXPECT_EQ(Take(link, 150 * kMicrosecond), Numbers{2});
}

TEST(Impairment, TheQueueIsBounded) {
  Impairment link({.kbit_per_s = 8000, .queue_frames = 2}, 1);
  for (uint32_t i = 1; i <= 3; ++i) Push(link, i, 0, 100);
  EXPECT_EQ(link.counters().overflowed, 1u);
  Push(link, 4, 100 * kMicrosecond, 100);  // The first one is past the line.
  EXPECT_EQ(Take(link, 300 * kMicrosecond), (Numbers{1, 2, 4}));
}

}  // namespace
}  // namespace librettos::test
