#include "guest/net/flow_pair.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"

namespace librettos::guest {
namespace {

constexpr uint32_t kPairs = 8;

Bytes Udp4(uint16_t source, uint16_t destination, uint16_t offset_word = 0) {
  Bytes frame = MakeUdp(source, destination, Bytes(8));
  Store16(&frame[20], offset_word);
  return frame;
}

Bytes Ip6(uint8_t next, uint16_t source, uint16_t destination, uint16_t fragment_word = 0) {
  Bytes frame(80);
  Store16(&frame[12], kEtherIpv6);
  frame[20] = std::byte{next};
  frame[37] = std::byte{5};
  frame[53] = std::byte{9};
  size_t at = 54;
  if (next == kProtocolFragment6) {
    frame[54] = std::byte{kProtocolUdp};
    Store16(&frame[56], fragment_word);
    at = 62;
  }
  Store16(&frame[at], source);
  Store16(&frame[at + 2], destination);
  return frame;
}

TEST(FlowPairTest, AFlowStaysAndFlowsSpread) {
  FlowPair choice(kPairs, false);
  std::set<uint32_t> used4, used6;
  for (uint16_t port = 1000; port < 1200; port++) {
    const uint32_t pair4 = choice.Of(Udp4(port, 80)), pair6 = choice.Of(Ip6(kProtocolTcp, port, 80));
    ASSERT_LT(pair4, kPairs);
    ASSERT_LT(pair6, kPairs);
    EXPECT_EQ(choice.Of(Udp4(port, 80)), pair4);
    EXPECT_EQ(choice.Of(Ip6(kProtocolTcp, port, 80)), pair6);
    used4.insert(pair4);
    used6.insert(pair6);
  }
  EXPECT_EQ(used4.size(), kPairs);
  EXPECT_EQ(used6.size(), kPairs);
}

TEST(FlowPairTest, FragmentsFollowTheFirstOfTheirDatagram) {
  FlowPair choice(kPairs, false);
  for (uint16_t port = 1000; port < 1100; port++) {
    const uint32_t pair = choice.Of(Udp4(port, 80));
    EXPECT_EQ(choice.Of(Udp4(port, 80, 0x2000)), pair) << "first: more to come";
    EXPECT_EQ(choice.Of(Udp4(0xdead, 0xbeef, 0x2000 | 185)), pair) << "its ports are payload";
    EXPECT_EQ(choice.Of(Udp4(0xdead, 0xbeef, 370)), pair) << "the last";
    const uint32_t pair6 = choice.Of(Ip6(kProtocolUdp, port, 80));
    EXPECT_EQ(choice.Of(Ip6(kProtocolFragment6, port, 80, 1)), pair6);
    EXPECT_EQ(choice.Of(Ip6(kProtocolFragment6, 0xdead, 0xbeef, 1448)), pair6);
  }
}

TEST(FlowPairTest, OnASharedAddressTheLocalPortDecides) {
  FlowPair choice(kPairs, true);
  for (uint16_t port = 1000; port < 1100; port++) {
    for (uint16_t peer : {80, 81, 4711}) {
      EXPECT_EQ(choice.Of(Udp4(port, peer)), choice.OfPort(port));
      EXPECT_EQ(choice.Of(Udp4(port, peer, 0x2000)), choice.OfPort(port));
      EXPECT_EQ(choice.Of(Ip6(kProtocolTcp, port, peer)), choice.OfPort(port));
    }
  }
}

TEST(FlowPairTest, WhatHasNoFlowGoesByPairZero) {
  FlowPair choice(kPairs, false);
  Bytes arp(60);
  Store16(&arp[12], 0x0806);
  EXPECT_EQ(choice.Of(arp), 0u);
  EXPECT_EQ(choice.Of(Bytes(14)), 0u);
  Bytes cut = Ip6(kProtocolTcp, 1, 2);
  cut.resize(53);
  EXPECT_EQ(choice.Of(cut), 0u);
}

TEST(FlowPairTest, OnePairTakesAll) {
  FlowPair choice(1, false);
  for (uint16_t port = 1000; port < 1010; port++) EXPECT_EQ(choice.Of(Udp4(port, 80)), 0u);
}

}  // namespace
}  // namespace librettos::guest
