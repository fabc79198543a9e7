#include "guest/platform/xen/page_allocator.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <set>
#include <vector>

namespace librettos::xen {
namespace {

constexpr size_t kFrames = 1024;

class PageAllocatorTest : public testing::Test {
 protected:
  PageAllocatorTest() { allocator_ = PageAllocator(bitmap_); }

  std::array<uint64_t, kFrames / 64> bitmap_;
  PageAllocator allocator_;
};

TEST_F(PageAllocatorTest, HasNothingAtFirst) {
  EXPECT_EQ(allocator_.free_count(), 0u);
  EXPECT_EQ(allocator_.Allocate(1), PageAllocator::kNone);
}

TEST_F(PageAllocatorTest, GivesEveryFrameOnce) {
  allocator_.Free(3, 1000);
  std::set<size_t> frames;
  for (size_t frame; (frame = allocator_.Allocate(1)) != PageAllocator::kNone;) frames.insert(frame);
  EXPECT_EQ(frames.size(), 1000u);
  EXPECT_EQ(*frames.begin(), 3u);
  EXPECT_EQ(*frames.rbegin(), 1002u);
  EXPECT_EQ(allocator_.free_count(), 0u);
}

TEST_F(PageAllocatorTest, TakesRunsFromBelowAndSingleFramesFromAbove) {
  allocator_.Free(0, kFrames);
  EXPECT_EQ(allocator_.Allocate(10), 0u);
  EXPECT_EQ(allocator_.Allocate(1), kFrames - 1);
  EXPECT_EQ(allocator_.Allocate(10), 10u);
}

TEST_F(PageAllocatorTest, FindsARunAcrossWordsAndNoneAcrossAHole) {
  allocator_.Free(60, 10);
  allocator_.Free(71, 10);
  EXPECT_EQ(allocator_.Allocate(11), PageAllocator::kNone);
  EXPECT_EQ(allocator_.Allocate(10), 60u);
  EXPECT_EQ(allocator_.Allocate(10), 71u);
}

TEST_F(PageAllocatorTest, RefusesNothingAndTooMuch) {
  allocator_.Free(0, kFrames);
  EXPECT_EQ(allocator_.Allocate(0), PageAllocator::kNone);
  EXPECT_EQ(allocator_.Allocate(kFrames + 1), PageAllocator::kNone);
  EXPECT_EQ(allocator_.Allocate(kFrames), 0u);
}

TEST_F(PageAllocatorTest, AgreesWithAModel) {
  allocator_.Free(0, kFrames);
  std::vector<bool> used(kFrames);
  std::vector<std::pair<size_t, size_t>> held;
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    if (random() % 2 && !held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      const auto [first, count] = held.back();
      held.pop_back();
      allocator_.Free(first, count);
      for (size_t f = first; f < first + count; ++f) used[f] = false;
      continue;
    }
    const size_t count = random() % 4 ? 1 : 1 + random() % 40;
    const size_t first = allocator_.Allocate(count);
    if (first == PageAllocator::kNone) {
      // Then there is no such run.
      size_t run = 0;
      for (size_t f = 0; f < kFrames; ++f) ASSERT_LT(run = used[f] ? 0 : run + 1, count);
      continue;
    }
    ASSERT_LE(first + count, kFrames);
    for (size_t f = first; f < first + count; ++f) {
      ASSERT_FALSE(used[f]);
      used[f] = true;
    }
    held.push_back({first, count});
  }
  EXPECT_EQ(allocator_.free_count(), static_cast<size_t>(std::count(used.begin(), used.end(), false)));
}

TEST_F(PageAllocatorTest, EndsWhenAFrameIsFreedTwice) {
  allocator_.Free(0, 10);
  EXPECT_DEATH(allocator_.Free(9, 2), "freed twice");
}

TEST_F(PageAllocatorTest, EndsWhenWhatDoesNotExistIsFreed) {
  EXPECT_DEATH(allocator_.Free(kFrames - 1, 2), "do not exist");
  EXPECT_DEATH(allocator_.Free(~size_t{0}, 2), "do not exist");
}

}  // namespace
}  // namespace librettos::xen
