#include "test/tools/measure.h"

#include <gtest/gtest.h>

namespace librettos::test {
namespace {

TEST(Percentile, NearestRank) {
  std::vector<int> values;
  for (int i = 1; i <= 100; ++i) values.push_back(i);
  EXPECT_EQ(Percentile(values, 0.5), 50);
  EXPECT_EQ(Percentile(values, 0.99), 99);
  EXPECT_EQ(Percentile(values, 1.0), 100);
}

TEST(Percentile, FewValues) {
  EXPECT_EQ(Percentile(std::vector<int>{7}, 0.99), 7);
  EXPECT_EQ(Percentile(std::vector<int>{1, 2, 3}, 0.5), 2);
  EXPECT_EQ(Percentile(std::vector<int>{1, 2, 3}, 0.0), 1);
  EXPECT_EQ(Percentile(std::vector<int>{}, 0.5), 0);
}

TEST(Clock, DoesNotGoBack) {
  const uint64_t before = Clock();
  EXPECT_GE(Clock(), before);
}

}  // namespace
}  // namespace librettos::test
