#include "netserver/allowance.h"

#include <gtest/gtest.h>

namespace librettos::netserver {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000, kStart = 5 * kSecond;

TEST(TokenBucket, HoldsItsBurstAndNoMore) {
  TokenBucket bucket(1000, 10);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(bucket.Take(1, kStart)) << i;
  EXPECT_FALSE(bucket.Take(1, kStart));
}

TEST(TokenBucket, FillsAtItsRate) {
  TokenBucket bucket(1000, 10);
  EXPECT_TRUE(bucket.Take(10, kStart));
  EXPECT_FALSE(bucket.Take(1, kStart + kSecond / 1000 - 1));
  EXPECT_TRUE(bucket.Take(1, kStart + kSecond / 1000));
  // Never over its burst, however long nobody takes any.
  EXPECT_FALSE(bucket.Take(11, kStart + 100 * kSecond));
  EXPECT_TRUE(bucket.Take(10, kStart + 100 * kSecond));
}

TEST(TokenBucket, RefusalCostsNothing) {
  TokenBucket bucket(1000, 10);
  EXPECT_TRUE(bucket.Take(8, kStart));
  EXPECT_FALSE(bucket.Take(3, kStart));
  EXPECT_TRUE(bucket.Take(2, kStart));
}

TEST(TokenBucket, DebtIsPaidOffAndBounded) {
  TokenBucket bucket(1000, 10);
  bucket.Charge(12, kStart, kSecond);
  EXPECT_EQ(bucket.Debt(kStart), 2 * kSecond / 1000);
  EXPECT_EQ(bucket.Debt(kStart + 2 * kSecond / 1000), 0u);
  bucket.Charge(~uint32_t{0}, kStart, kSecond);
  EXPECT_EQ(bucket.Debt(kStart), kSecond);
}

TEST(Allowance, HonestWasteIsFree) {
  Allowance allowance;
  // A drop each 100 us, for ever.
  for (Nanoseconds now = kStart; now < kStart + kSecond; now += 100'000) {
    allowance.Waste(Allowance::kDropCost, now);
    ASSERT_EQ(allowance.Rest(now), 0u);
  }
}

TEST(Allowance, AFloodOfWasteRestsForABoundedTime) {
  Allowance allowance;
  allowance.Waste(Allowance::kWasteBurst, kStart);
  EXPECT_EQ(allowance.Rest(kStart), 0u);
  allowance.Waste(Allowance::kDropCost, kStart);
  EXPECT_GT(allowance.Rest(kStart), 0u);
  for (int i = 0; i < 1'000'000; ++i) allowance.Waste(Allowance::kIdleBellCost, kStart);
  EXPECT_EQ(allowance.Rest(kStart), Allowance::kMaxRest);
  EXPECT_EQ(allowance.Rest(kStart + Allowance::kMaxRest), 0u);
}

TEST(Allowance, FloodsCostMoreWithMoreGuests) {
  auto count = [](uint32_t guests) {
    Allowance allowance;
    int floods = 0;
    while (allowance.Flood(guests, kStart)) ++floods;
    return floods;
  };
  EXPECT_EQ(count(1), int{Allowance::kFloodBurst});
  EXPECT_EQ(count(256), int{Allowance::kFloodBurst / 17});
}

}  // namespace
}  // namespace librettos::netserver
