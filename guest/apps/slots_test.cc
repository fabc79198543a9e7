#include "guest/apps/slots.h"

#include <gtest/gtest.h>

namespace librettos::apps {
namespace {

struct Thing {
  Thing(int value, int* alive) : value(value), alive(alive) { ++*alive; }
  ~Thing() { --*alive; }
  int value;
  int* alive;
};

TEST(Slots, FindsWhatWasAdded) {
  int alive = 0;
  Slots<Thing, 4> slots;
  uint64_t a = 0, b = 0;
  ASSERT_NE(slots.Add(&a, 1, &alive), nullptr);
  ASSERT_NE(slots.Add(&b, 2, &alive), nullptr);
  EXPECT_EQ(slots.Find(a)->value, 1);
  EXPECT_EQ(slots.Find(b)->value, 2);
  EXPECT_EQ(slots.used(), 2u);
}

TEST(Slots, RefusesMoreThanFit) {
  int alive = 0;
  Slots<Thing, 2> slots;
  uint64_t key = 0;
  EXPECT_NE(slots.Add(&key, 1, &alive), nullptr);
  EXPECT_NE(slots.Add(&key, 2, &alive), nullptr);
  EXPECT_TRUE(slots.full());
  EXPECT_EQ(slots.Add(&key, 3, &alive), nullptr);
  EXPECT_EQ(alive, 2);
}

TEST(Slots, AnOldKeyDoesNotFindTheSlotsNextOwner) {
  int alive = 0;
  Slots<Thing, 1> slots;
  uint64_t old = 0, now = 0;
  slots.Add(&old, 1, &alive);
  slots.Remove(old);
  EXPECT_EQ(alive, 0);
  slots.Add(&now, 2, &alive);
  EXPECT_EQ(slots.Find(old), nullptr);
  slots.Remove(old);
  EXPECT_EQ(slots.Find(now)->value, 2);
}

TEST(Slots, UnknownKeysFindNothing) {
  int alive = 0;
  Slots<Thing, 2> slots;
  EXPECT_EQ(slots.Find(0), nullptr);
  EXPECT_EQ(slots.Find(2), nullptr);
  EXPECT_EQ(slots.Find(UINT64_MAX), nullptr);
  uint64_t key = 0;
  slots.Add(&key, 1, &alive);
  EXPECT_LT(key, (Slots<Thing, 2>::kNotSlot));
}

TEST(Slots, AllSlotsComeBackInAnyOrder) {
  int alive = 0;
  Slots<Thing, 8> slots;
  for (int round = 0; round < 5; ++round) {
    uint64_t keys[8];
    for (int i = 0; i < 8; ++i) ASSERT_NE(slots.Add(&keys[i], i, &alive), nullptr);
    for (int i : {3, 0, 7, 1, 6, 2, 5, 4}) slots.Remove(keys[i]);
    EXPECT_EQ(slots.used(), 0u);
    EXPECT_EQ(alive, 0);
  }
}

TEST(Slots, TheVisitorMayRemove) {
  int alive = 0;
  Slots<Thing, 4> slots;
  uint64_t key = 0;
  for (int i = 0; i < 4; ++i) slots.Add(&key, i, &alive);
  slots.ForEach([&](uint64_t visited, Thing& thing) {
    if (thing.value % 2 == 0) slots.Remove(visited);
  });
  EXPECT_EQ(slots.used(), 2u);
}

}  // namespace
}  // namespace librettos::apps
