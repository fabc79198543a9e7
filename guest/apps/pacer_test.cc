#include "guest/apps/pacer.h"

#include <gtest/gtest.h>

namespace librettos::apps {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Pacer, TheFirstIsDueAtOnce) {
  Pacer pacer(10, 1000);
  EXPECT_EQ(pacer.Due(999), 0u);
  EXPECT_EQ(pacer.Due(1000), 1u);
  EXPECT_EQ(pacer.Next(), 1000u);
}

TEST(Pacer, KeepsTheRate) {
  for (uint64_t rate : {1u, 3u, 7u, 1000u, 999'983u}) {
    Pacer pacer(rate, 0);
    uint64_t sent = 0;
    while (pacer.Next() < 10 * kSecond) {
      ASSERT_EQ(pacer.Due(pacer.Next()), 1u) << rate;
      ASSERT_EQ(pacer.Next() == 0 ? 0 : pacer.Due(pacer.Next() - 1), 0u) << rate;
      pacer.Sent();
      if (++sent > 20'000) break;
    }
    if (rate <= 1000) {
      EXPECT_EQ(sent, 10 * rate);
    }
  }
}

TEST(Pacer, MakesUpForAShortStall) {
  Pacer pacer(1000, 0);
  EXPECT_EQ(pacer.Due(50'000'000), 51u);
}

TEST(Pacer, MovesAfterALongStall) {
  Pacer pacer(1000, 0);
  EXPECT_EQ(pacer.Due(5 * kSecond), 1u);
  pacer.Sent();
  EXPECT_EQ(pacer.Next(), 5 * kSecond + 1'000'000);
}

TEST(Pacer, DoesNotOverflow) {
  const uint64_t start = UINT64_MAX / 2;
  Pacer pacer(1'000'000, start);
  EXPECT_EQ(pacer.Due(start + 99'999'000), 100'000u);
}

}  // namespace
}  // namespace librettos::apps
