#include "guest/apps/iperf_header.h"

#include <gtest/gtest.h>

#include <vector>

#include "guest/apps/wire_bytes.h"

namespace librettos::apps {
namespace {

std::vector<std::byte> Words(std::initializer_list<uint32_t> words) {
  std::vector<std::byte> bytes(words.size() * 4);
  size_t at = 0;
  for (uint32_t word : words) Put32(bytes.data() + 4 * at++, word);
  return bytes;
}

TEST(IperfDatagram, ReadsWhatIperf218Sends) {
  IperfDatagram datagram;
  ASSERT_TRUE(ParseIperfDatagram(Words({0x0f, 0x6b042319, 0x000596a1, 0, 0x48010098}), &datagram));
  EXPECT_EQ(datagram.number, 15);
  EXPECT_TRUE(datagram.sequence64);
  EXPECT_EQ(datagram.sent_us, 0x6b042319ull * 1'000'000 + 0x596a1);
  ASSERT_TRUE(
      ParseIperfDatagram(Words({0xffffffec, 0x6b042319, 0x64e93, 0xffffffff, 0x48010098}), &datagram));
  EXPECT_EQ(datagram.number, -20);
}

TEST(IperfDatagram, WithoutTheFlagTheNumberHas32Bits) {
  IperfDatagram datagram;
  ASSERT_TRUE(ParseIperfDatagram(Words({0xfffffffe, 1, 2, 7, 0}), &datagram));
  EXPECT_EQ(datagram.number, -2);
  ASSERT_TRUE(ParseIperfDatagram(Words({3, 1, 2}), &datagram));
  EXPECT_EQ(datagram.number, 3);
  EXPECT_FALSE(ParseIperfDatagram(Words({3, 1}), &datagram));
  EXPECT_FALSE(ParseIperfDatagram({}, &datagram));
}

TEST(IperfDatagram, WritesWhatItReads) {
  for (int64_t number : {int64_t{1}, int64_t{-5}, int64_t{1} << 40, -(int64_t{1} << 40)}) {
    std::byte bytes[kIperfDataBytes];
    WriteIperfDatagram({.number = number, .sent_us = 5'000'007, .sequence64 = true}, bytes);
    IperfDatagram datagram;
    ASSERT_TRUE(ParseIperfDatagram(bytes, &datagram));
    EXPECT_EQ(datagram.number, number);
    EXPECT_EQ(datagram.sent_us, 5'000'007u);
  }
}

TEST(IperfReport, HasTheLayoutOfIperf218) {
  std::byte bytes[kIperfReportBytes];
  WriteIperfReport({.bytes = 0x2'0000'ac44,
                    .duration_us = 2'162'147,
                    .lost = 3,
                    .out_of_order = 4,
                    .datagrams = 0x1e,
                    .jitter_us = 9},
                   bytes);
  const uint32_t expected[] = {0, 0, 0, 0, 0x88000000, 2, 0xac44, 2, 162'147, 3, 4, 0x1e, 0, 9};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(Get32(bytes + 4 * i), expected[i]) << i;
}

TEST(IperfReport, ReadsWhatItWrites) {
  std::byte bytes[kIperfReportBytes];
  const IperfReport written{.bytes = 1ull << 40,
                            .duration_us = 10'000'001,
                            .lost = 1ull << 33,
                            .out_of_order = 1ull << 34,
                            .datagrams = 1ull << 35,
                            .jitter_us = 2'000'003};
  WriteIperfReport(written, bytes);
  IperfReport read;
  ASSERT_TRUE(ParseIperfReport(bytes, &read));
  EXPECT_EQ(read.bytes, written.bytes);
  EXPECT_EQ(read.duration_us, written.duration_us);
  EXPECT_EQ(read.lost, written.lost);
  EXPECT_EQ(read.out_of_order, written.out_of_order);
  EXPECT_EQ(read.datagrams, written.datagrams);
  EXPECT_EQ(read.jitter_us, written.jitter_us);
}

TEST(IperfReport, ShortOrUnmarkedIsNone) {
  std::byte bytes[kIperfReportBytes] = {};
  IperfReport report;
  EXPECT_FALSE(ParseIperfReport(bytes, &report));
  WriteIperfReport({}, bytes);
  EXPECT_FALSE(ParseIperfReport({bytes, 55}, &report));
  EXPECT_TRUE(ParseIperfReport({bytes, 56}, &report));
}

class IperfUdpTestTest : public testing::Test {
 protected:
  bool Take(int64_t number, uint64_t sent_us = 0, uint64_t now_us = 0) {
    return test_.OnDatagram({.number = number, .sent_us = sent_us, .sequence64 = true}, 100, now_us);
  }
  IperfUdpTest test_;
};

TEST_F(IperfUdpTestTest, CountsAWholeTest) {
  for (int64_t n = 1; n <= 29; ++n) EXPECT_FALSE(Take(n, 0, 1000 * static_cast<uint64_t>(n)));
  EXPECT_TRUE(Take(-30, 0, 30'000));
  EXPECT_TRUE(Take(-30, 0, 99'000));  // Repeated: changes nothing.
  const IperfReport report = test_.report();
  EXPECT_EQ(report.datagrams, 30u);
  EXPECT_EQ(report.bytes, 3000u);
  EXPECT_EQ(report.lost, 0u);
  EXPECT_EQ(report.duration_us, 29'000u);
}

TEST_F(IperfUdpTestTest, ATestMayBeginWithZero) {
  for (int64_t n = 0; n < 5; ++n) Take(n);
  EXPECT_EQ(test_.report().datagrams, 5u);
  EXPECT_EQ(test_.report().lost, 0u);
}

TEST_F(IperfUdpTestTest, CountsLossAndDisorder) {
  for (int64_t n : {2, 3, 7, 6, 8}) Take(n);
  EXPECT_EQ(test_.report().lost, 3u);  // 1, 4 and 5.
  EXPECT_EQ(test_.report().out_of_order, 1u);
  EXPECT_EQ(test_.report().datagrams, 8u);
}

TEST_F(IperfUdpTestTest, JitterIsOfTransitTimes) {
  // Clocks differ by hours, transit times by 1600 us once: jitter is a sixteenth of it.
  const uint64_t offset = 1'000'000'000'000;
  Take(1, offset + 0, 100);
  Take(2, offset + 1000, 1100);
  EXPECT_EQ(test_.report().jitter_us, 0u);
  Take(3, offset + 2000, 3700);
  EXPECT_EQ(test_.report().jitter_us, 100u);
}

TEST_F(IperfUdpTestTest, HostileNumbersDoNoHarm) {
  Take(INT64_MAX, UINT64_MAX, 0);
  Take(0, 0, UINT64_MAX);
  EXPECT_TRUE(Take(INT64_MIN, 5, 5));
  EXPECT_EQ(test_.report().jitter_us, 0u);
}

TEST_F(IperfUdpTestTest, WithoutDatagramsThereIsNothing) { EXPECT_EQ(test_.report().datagrams, 0u); }

}  // namespace
}  // namespace librettos::apps
