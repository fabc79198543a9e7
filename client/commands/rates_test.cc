#include "client/commands/rates.h"

#include <gtest/gtest.h>

namespace librettos::ctl {
namespace {

v1::ResourceStatistics Row(uint32_t domain, uint64_t rx_bytes, uint64_t drops) {
  v1::ResourceStatistics row;
  row.set_domain(domain);
  (*row.mutable_counters())["rx_bytes"] = rx_bytes;
  (*row.mutable_drops())["malformed"] = drops;
  (*row.mutable_drops())["ring_full"] = 1;
  return row;
}

TEST(Rates, PerSecond) {
  const auto rates = RatesBetween(Row(1, 1000, 0), Row(1, 3000, 10), absl::Seconds(2));
  ASSERT_TRUE(rates.has_value());
  EXPECT_DOUBLE_EQ(rates->rx_bytes, 1000);
  EXPECT_DOUBLE_EQ(rates->drops, 5);
  EXPECT_DOUBLE_EQ(rates->tx_frames, 0);
}

TEST(Rates, NoneAcrossDomains) {
  EXPECT_FALSE(RatesBetween(Row(1, 1000, 0), Row(2, 3000, 0), absl::Seconds(1)).has_value());
}
TEST(Rates, NoneWhenACounterWentBackwards) {
  EXPECT_FALSE(RatesBetween(Row(1, 1000, 0), Row(1, 999, 0), absl::Seconds(1)).has_value());
  EXPECT_FALSE(RatesBetween(Row(1, 1000, 2), Row(1, 1000, 1), absl::Seconds(1)).has_value());
}
TEST(Rates, NoneWithoutTime) {
  EXPECT_FALSE(RatesBetween(Row(1, 1, 0), Row(1, 2, 0), absl::ZeroDuration()).has_value());
}
TEST(Rates, Sums) {
  EXPECT_EQ(DropsOf(Row(1, 0, 4)), 5u);
  EXPECT_EQ(CounterOf(Row(1, 7, 0), "rx_bytes"), 7u);
  EXPECT_EQ(CounterOf(Row(1, 7, 0), "nothing"), 0u);
}

}  // namespace
}  // namespace librettos::ctl
