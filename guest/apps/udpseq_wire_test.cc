#include "guest/apps/udpseq_wire.h"

#include <gtest/gtest.h>

#include <memory>

namespace librettos::apps {
namespace {

SequenceTracker Track(std::initializer_list<uint64_t> numbers) {
  SequenceTracker tracker;
  uint64_t time = 0;
  for (uint64_t number : numbers) tracker.OnArrival(number, time += 1000);
  return tracker;
}

TEST(SequenceTracker, NothingCame) {
  const SequenceTracker tracker;
  EXPECT_FALSE(tracker.any());
  EXPECT_EQ(tracker.lost(), 0u);
}

TEST(SequenceTracker, AllInOrder) {
  const SequenceTracker tracker = Track({0, 1, 2, 3});
  EXPECT_EQ(tracker.received(), 4u);
  EXPECT_EQ(tracker.lost() + tracker.duplicates() + tracker.reordered() + tracker.late(), 0u);
  EXPECT_EQ(tracker.highest(), 3u);
}

TEST(SequenceTracker, CountsLoss) {
  EXPECT_EQ(Track({0, 1, 5}).lost(), 3u);
  EXPECT_EQ(Track({7, 9}).lost(), 1u);  // What came before the first is not known to have been sent.
}

TEST(SequenceTracker, AReorderedNumberIsNotLost) {
  const SequenceTracker tracker = Track({0, 2, 1, 3});
  EXPECT_EQ(tracker.lost(), 0u);
  EXPECT_EQ(tracker.reordered(), 1u);
  EXPECT_EQ(tracker.received(), 4u);
}

TEST(SequenceTracker, AReorderedFirstMovesTheStart) {
  const SequenceTracker tracker = Track({2, 0, 3});
  EXPECT_EQ(tracker.lowest(), 0u);
  EXPECT_EQ(tracker.lost(), 1u);
}

TEST(SequenceTracker, TellsDuplicates) {
  const SequenceTracker tracker = Track({0, 1, 1, 0, 2, 2});
  EXPECT_EQ(tracker.duplicates(), 3u);
  EXPECT_EQ(tracker.received(), 3u);
  EXPECT_EQ(tracker.reordered(), 0u);
}

TEST(SequenceTracker, AJumpClearsWhatItSkips) {
  // The skipped numbers share bits with earlier ones: they must not look like duplicates.
  SequenceTracker tracker;
  for (uint64_t n = 0; n < kSequenceWindow; ++n) tracker.OnArrival(n, n);
  tracker.OnArrival(kSequenceWindow + 10, kSequenceWindow);
  EXPECT_EQ(tracker.lost(), 10u);
  tracker.OnArrival(kSequenceWindow + 3, kSequenceWindow + 1);
  EXPECT_EQ(tracker.duplicates(), 0u);
  EXPECT_EQ(tracker.lost(), 9u);
}

TEST(SequenceTracker, AJumpOverTheWholeWindow) {
  SequenceTracker tracker = Track({5, 5 + 3 * kSequenceWindow});
  EXPECT_EQ(tracker.lost(), 3 * kSequenceWindow - 1);
  tracker.OnArrival(5 + 2 * kSequenceWindow + 1, 9000);
  EXPECT_EQ(tracker.reordered(), 1u);
  tracker.OnArrival(5 + 2 * kSequenceWindow, 9001);
  EXPECT_EQ(tracker.late(), 1u);
  EXPECT_EQ(tracker.received(), 3u);
}

TEST(SequenceTracker, HostileNumbersDoNoHarm) {
  SequenceTracker tracker = Track({0, UINT64_MAX, 0, UINT64_MAX - 1, UINT64_MAX});
  EXPECT_EQ(tracker.received(), 3u);
  EXPECT_EQ(tracker.duplicates(), 1u);
  EXPECT_EQ(tracker.late(), 1u);
}

TEST(SequenceTracker, LongestGap) {
  SequenceTracker tracker;
  for (uint64_t time : {1000u, 2000u, 9000u, 9500u, 9400u, 9600u}) tracker.OnArrival(time, time);
  EXPECT_EQ(tracker.max_gap(), 7000u);
}

TEST(UdpseqFigures, SumsStreams) {
  UdpseqFigures figures;
  figures.Add(Track({0, 1, 3}));
  figures.Add(Track({0, 2, 1, 1}));
  Line json;
  figures.AddJson(json);
  EXPECT_EQ(
      json.view(),
      "{\"received\":6,\"lost\":1,\"duplicates\":1,\"reordered\":1,\"late\":0,\"max_gap_us\":1,\"first\":0,"
      "\"last\":2,\"streams\":2}");
}

}  // namespace
}  // namespace librettos::apps
