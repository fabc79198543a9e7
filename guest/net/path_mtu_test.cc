// Paths narrower than the link: the table, what may teach it, and what TCP and UDP do then.
#include "guest/net/path_mtu.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "guest/net/headers.h"
#include "guest/net/testing/tcp_peer.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

using sockets::Family;

ip_addr_t At(uint32_t number) {
  ip_addr_t out = {};
  IP_SET_TYPE_VAL(out, IPADDR_TYPE_V4);
  ip_2_ip4(&out)->addr = number;
  return out;
}

TEST(PathMtuTableTest, LearnsNarrowsAndForgets) {
  PathMtu table;
  EXPECT_EQ(table.Get(At(1), 1500, 5), 1500u);
  EXPECT_TRUE(table.Learn(At(1), 1400, 1500, 5));
  EXPECT_EQ(table.Get(At(1), 1500, 6), 1400u);
  EXPECT_EQ(table.Get(At(2), 1500, 6), 1500u) << "only that path";
  EXPECT_FALSE(table.Learn(At(1), 1450, 1500, 6)) << "wider again is for the clock to say";
  EXPECT_TRUE(table.Learn(At(1), 1000, 1500, 6));
  EXPECT_EQ(table.Get(At(1), 800, 7), 800u) << "never wider than the link";
  EXPECT_EQ(table.Get(At(1), 1500, 5 + PathMtu::kLifetime), 1000u);
  EXPECT_EQ(table.Get(At(1), 1500, 6 + PathMtu::kLifetime), 1500u);
}

TEST(PathMtuTableTest, RefusesTheAbsurd) {
  PathMtu table;
  for (uint32_t mtu : {1500u, 1501u, 65535u, ~0u}) EXPECT_FALSE(table.Learn(At(1), mtu, 1500, 5)) << mtu;
  EXPECT_EQ(table.Get(At(1), 1500, 5), 1500u);
  for (uint32_t mtu : {0u, 1u, 68u, 551u}) (void)table.Learn(At(1), mtu, 1500, 5);
  EXPECT_EQ(table.Get(At(1), 1500, 5), PathMtu::kMinimum4);
  ip_addr_t six = {};
  IP_SET_TYPE_VAL(six, IPADDR_TYPE_V6);
  ip_2_ip6(&six)->addr[3] = 1;
  EXPECT_TRUE(table.Learn(six, 68, 1500, 5));
  EXPECT_EQ(table.Get(six, 1500, 5), PathMtu::kMinimum6);
}

TEST(PathMtuTableTest, IsBoundedAndForgetsTheOldest) {
  PathMtu table;
  for (uint32_t i = 1; i <= 1000; i++) ASSERT_TRUE(table.Learn(At(i), 1000, 1500, i));
  EXPECT_EQ(table.Get(At(1), 1500, 1001), 1500u);
  EXPECT_EQ(table.Get(At(1000), 1500, 1001), 1000u);
}

class PathMtuTest : public testing::TestWithParam<Family> {
 protected:
  PathMtuTest() : peer_(world_, GetParam() == Family::kIpv6, 80) {
    world_.TeachArp();
    world_.TeachNd();
    // MSS 8960: the path decides, not the peer.
    peer_.syn_options = {std::byte{2}, std::byte{4}, std::byte{0x23}, std::byte{0}};
  }
  ~PathMtuTest() override {
    for (int socket : sockets_) sockets::Close(socket);
  }
  bool ipv6() const { return GetParam() == Family::kIpv6; }
  uint32_t Headers() const { return ipv6() ? 60 : 40; }
  sockets::Address Peer(uint16_t port) {
    return sockets::Address::Parse(ipv6() ? "fd00::1" : "10.1.0.1", port).value();
  }
  int Open(TcpPeer& peer) {
    int socket = sockets::Socket(GetParam(), sockets::Type::kStream).value();
    sockets_.push_back(socket);
    EXPECT_EQ(sockets::Connect(socket, Peer(peer.port())).error(), Error::kAgain);
    peer.Accept();
    return socket;
  }
  // IP packets that the guest sent, with the payload per packet on the wire.
  struct Sent {
    Bytes packet;
    uint32_t segment;
  };
  std::vector<Sent> Take() {
    world_.Turn();
    std::vector<Sent> out;
    for (auto& frame : world_.TakeSent()) {
      Sent sent{{frame.bytes.begin() + 14, frame.bytes.end()}, frame.offload.segment_bytes};
      const Layout layout = Dissect(frame.bytes.data(), frame.bytes.size());
      if (layout.protocol == kProtocolTcp && !sent.segment) {
        sent.segment = static_cast<uint32_t>(frame.bytes.size()) - layout.header_bytes;
      }
      out.push_back(std::move(sent));
    }
    return out;
  }
  uint32_t LargestSegment() {
    uint32_t largest = 0;
    for (const Sent& sent : Take()) largest = std::max(largest, sent.segment);
    return largest;
  }
  void TooBig(uint32_t mtu, const Bytes& quoted) {
    world_.Deliver(ipv6() ? MakeIcmpError(2, 0, mtu, quoted) : MakeIcmpError(3, 4, mtu, quoted));
    world_.Turn();
  }
  size_t TransportAt() const { return ipv6() ? 40 : 20; }

  TestWorld world_;
  TcpPeer peer_;
  std::vector<int> sockets_;
};

INSTANTIATE_TEST_SUITE_P(Families, PathMtuTest, testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(PathMtuTest, TcpSegmentsGetSmallerAndTheLostOneIsRepeatedSo) {
  const int socket = Open(peer_);
  ASSERT_TRUE(sockets::Send(socket, Bytes(10000)).ok());
  auto sent = Take();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].segment, 1500 - Headers());
  if (!ipv6()) {
    EXPECT_EQ(Load16(&sent[0].packet[6]) & 0x4000, 0x4000) << "do not fragment";
  }
  TooBig(1300, {sent[0].packet.begin(), sent[0].packet.begin() + static_cast<ptrdiff_t>(TransportAt()) + 8});
  uint32_t repeated = 0;
  for (int i = 0; i < 100 && repeated == 0; i++) {
    world_.Advance(50'000'000);
    repeated = LargestSegment();
  }
  EXPECT_GT(repeated, 0u);
  EXPECT_LE(repeated, 1300 - Headers());
  peer_.acknowledged += 10000;
  peer_.Send(kTcpAck);
  Take();
  ASSERT_TRUE(sockets::Send(socket, Bytes(5000)).ok());
  EXPECT_EQ(LargestSegment(), 1300 - Headers());
}

TEST_P(PathMtuTest, OtherConnectionsToThePeerLearnItToo) {
  const int first = Open(peer_);
  TcpPeer other(world_, ipv6(), 81);
  other.syn_options = peer_.syn_options;
  const int second = Open(other);
  ASSERT_TRUE(sockets::Send(first, Bytes(3000)).ok());
  auto sent = Take();
  ASSERT_FALSE(sent.empty());
  TooBig(1300, sent[0].packet);
  Take();
  ASSERT_TRUE(sockets::Send(second, Bytes(5000)).ok());
  EXPECT_EQ(LargestSegment(), 1300 - Headers());
}

TEST_P(PathMtuTest, ItIsForgottenAfterTenMinutes) {
  const int first = Open(peer_);
  ASSERT_TRUE(sockets::Send(first, Bytes(3000)).ok());
  auto sent = Take();
  ASSERT_FALSE(sent.empty());
  TooBig(1300, sent[0].packet);
  peer_.acknowledged += 3000;
  peer_.Send(kTcpAck);
  Take();
  world_.Advance(PathMtu::kLifetime);
  world_.Turn();
  Take();
  TcpPeer later(world_, ipv6(), 82);
  later.syn_options = peer_.syn_options;
  world_.TeachArp();
  world_.TeachNd();
  const int second = Open(later);
  ASSERT_TRUE(sockets::Send(second, Bytes(5000)).ok());
  EXPECT_EQ(LargestSegment(), 1500 - Headers());
}

TEST_P(PathMtuTest, OnlyASegmentUnderWayIsBelieved) {
  const int socket = Open(peer_);
  ASSERT_TRUE(sockets::Send(socket, Bytes(3000)).ok());
  auto sent = Take();
  ASSERT_FALSE(sent.empty());
  const Bytes good = sent[0].packet;
  const size_t transport = TransportAt();
  for (size_t at : {transport + 1, transport + 3, transport + 4, size_t{ipv6() ? 23u : 15u},
                    size_t{ipv6() ? 39u : 19u}}) {
    Bytes quoted = good;
    quoted[at] ^= std::byte{0x40};
    TooBig(1300, quoted);
  }
  TooBig(1300, {good.begin(), good.begin() + static_cast<ptrdiff_t>(transport) + 7});
  peer_.acknowledged += 3000;
  peer_.Send(kTcpAck);
  TooBig(1300, good);  // Not under way any more.
  Take();
  ASSERT_TRUE(sockets::Send(socket, Bytes(5000)).ok());
  EXPECT_EQ(LargestSegment(), 1500 - Headers());
}

TEST_P(PathMtuTest, AbsurdValuesMakeNoTinySegmentsAndNoLargerOnes) {
  const int socket = Open(peer_);
  ASSERT_TRUE(sockets::Send(socket, Bytes(3000)).ok());
  auto sent = Take();
  ASSERT_FALSE(sent.empty());
  TooBig(9000, sent[0].packet);
  TooBig(0xffff, sent[0].packet);
  TooBig(1, sent[0].packet);
  peer_.acknowledged += 3000;
  peer_.Send(kTcpAck);
  Take();
  ASSERT_TRUE(sockets::Send(socket, Bytes(5000)).ok());
  EXPECT_EQ(LargestSegment(), (ipv6() ? 1280 : 552) - Headers());
}

TEST_P(PathMtuTest, UdpIsFragmentedToThePath) {
  const int socket = sockets::Socket(GetParam(), sockets::Type::kDatagram).value();
  sockets_.push_back(socket);
  Bytes data(3000);
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<std::byte>(i * 37 >> 2);
  for (const uint32_t mtu : {1500u, 1304u}) {
    if (mtu < 1500) {
      ASSERT_TRUE(sockets::SendTo(socket, Bytes(1000), Peer(9)).ok());
      auto one = Take();
      ASSERT_EQ(one.size(), 1u);
      TooBig(mtu, one[0].packet);
    }
    ASSERT_TRUE(sockets::SendTo(socket, data, Peer(9)).ok());
    auto sent = Take();
    Bytes datagram;
    for (const Sent& fragment : sent) {
      ASSERT_LE(fragment.packet.size(), mtu);
      const size_t at = ipv6() ? 48 : 20;
      const uint16_t word = Load16(&fragment.packet[ipv6() ? 42 : 6]);
      const size_t offset = ipv6() ? word & 0xfff8u : (word & 0x1fffu) * 8;
      const bool more = ipv6() ? word & 1 : (word & 0x2000) != 0;
      EXPECT_EQ(offset, datagram.size());
      EXPECT_EQ(more, &fragment != &sent.back());
      datagram.insert(datagram.end(), fragment.packet.begin() + static_cast<ptrdiff_t>(at),
                      fragment.packet.end());
    }
    EXPECT_EQ(sent.size(), 3u);
    ASSERT_EQ(datagram.size(), data.size() + 8);
    EXPECT_TRUE(std::equal(data.begin(), data.end(), datagram.begin() + 8));
    // Nobody can finish the checksum of fragments: it is complete.
    Bytes frame(14);
    frame.insert(frame.end(), sent[0].packet.begin(), sent[0].packet.begin() + 40);
    const Layout layout{ipv6(), kProtocolUdp, 0, 0};
    const auto bytes = static_cast<uint32_t>(datagram.size());
    EXPECT_EQ(Fold(Sum(datagram.data(), bytes, PseudoSum(frame.data(), layout, bytes))), 0xffff);
  }
}

}  // namespace
}  // namespace librettos::guest
