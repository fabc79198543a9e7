#include "guest/platform/xen/range_set.h"

#include <gtest/gtest.h>

namespace librettos::xen {
namespace {

TEST(RangeSetTest, TakesTheFirstThatFits) {
  RangeSet set;
  set.Give(100, 10);
  set.Give(200, 50);
  EXPECT_EQ(set.Take(20), 200u);
  EXPECT_EQ(set.Take(10), 100u);
  EXPECT_EQ(set.Take(31), RangeSet::kNone);
  EXPECT_EQ(set.Take(30), 220u);
  EXPECT_EQ(set.size(), 0u);
}

TEST(RangeSetTest, MergesWithBothNeighbours) {
  RangeSet set;
  set.Give(10, 10);
  set.Give(30, 10);
  EXPECT_EQ(set.size(), 2u);
  set.Give(20, 10);
  EXPECT_EQ(set.size(), 1u);
  set.Give(40, 10);
  set.Give(0, 10);
  EXPECT_EQ(set.size(), 1u);
  EXPECT_EQ(set.Take(50), 0u);
}

TEST(RangeSetTest, LosesWhatDoesNotFitAndGoesOn) {
  RangeSet set;
  for (uint64_t i = 0; i < RangeSet::kCapacity + 5; ++i) set.Give(i * 10, 5);
  EXPECT_EQ(set.size(), RangeSet::kCapacity);
  for (uint64_t i = 0; i < RangeSet::kCapacity; ++i) EXPECT_EQ(set.Take(5), i * 10);
  EXPECT_EQ(set.Take(5), RangeSet::kNone);
}

TEST(RangeSetTest, EndsWhenARangeIsGivenTwice) {
  RangeSet set;
  set.Give(10, 10);
  EXPECT_DEATH(set.Give(10, 10), "given back twice");
  EXPECT_DEATH(set.Give(19, 1), "given back twice");
  EXPECT_DEATH(set.Give(5, 6), "given back twice");
  EXPECT_DEATH(set.Give(0, 100), "given back twice");
}

}  // namespace
}  // namespace librettos::xen
