// ICMP errors that quote datagrams of a UDP socket: which sockets hear of them, and what hostile ones do.
#include "guest/net/icmp_error.h"

#include <gtest/gtest.h>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

using sockets::Family;

class UnreachableTest : public testing::TestWithParam<Family> {
 protected:
  UnreachableTest() {
    world_.TeachArp();
    world_.TeachNd();
    socket_ = sockets::Socket(GetParam(), sockets::Type::kDatagram).value();
  }
  ~UnreachableTest() override { sockets::Close(socket_); }
  bool ipv6() const { return GetParam() == Family::kIpv6; }
  sockets::Address Peer(uint16_t port = 9) {
    return sockets::Address::Parse(ipv6() ? "fd00::1" : "10.1.0.1", port).value();
  }
  void Connect() { ASSERT_TRUE(sockets::Connect(socket_, Peer()).ok()); }
  // Sends a datagram by the socket; the IP packet of it.
  Bytes SendOne(bool connected = true) {
    auto sent = connected ? sockets::Send(socket_, Text2Bytes("hello"))
                          : sockets::SendTo(socket_, Text2Bytes("hello"), Peer());
    EXPECT_TRUE(sent.ok());
    world_.Turn();
    Bytes packet;
    for (auto& frame : world_.TakeSent()) {
      if (Dissect(frame.bytes.data(), frame.bytes.size()).protocol == kProtocolUdp) {
        packet.assign(frame.bytes.begin() + 14, frame.bytes.end());
      }
    }
    EXPECT_FALSE(packet.empty());
    return packet;
  }
  size_t PortsAt() const { return ipv6() ? 40 : 20; }
  Bytes PortUnreachable(const Bytes& quoted) {
    return ipv6() ? MakeIcmpError(1, 4, 0, quoted) : MakeIcmpError(3, 3, 0, quoted);
  }
  void Deliver(const Bytes& frame) {
    world_.Deliver(frame);
    world_.Turn();
  }
  bool Reported() {
    sockets::PollItem item{socket_, sockets::kIn, 0};
    sockets::Poll({&item, 1}, 0);
    const bool polled = item.returned & sockets::kErr;
    const bool told = sockets::SocketError(socket_) == Error::kUnavailable;
    EXPECT_EQ(polled, told);
    return told;
  }
  TestWorld world_;
  int socket_;
};

INSTANTIATE_TEST_SUITE_P(Families, UnreachableTest, testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(UnreachableTest, TheNextSendFailsOnce) {
  Connect();
  Deliver(PortUnreachable(SendOne()));
  EXPECT_EQ(sockets::Send(socket_, Text2Bytes("x")).error(), Error::kUnavailable);
  EXPECT_TRUE(sockets::Send(socket_, Text2Bytes("x")).ok());
  EXPECT_EQ(world_.stack().interface().Get(Counter::k_icmp_errors), 1u);
}

TEST_P(UnreachableTest, TheNextReceiveFailsOnce) {
  Connect();
  Deliver(PortUnreachable(SendOne()));
  Bytes buffer(100);
  EXPECT_EQ(sockets::Receive(socket_, buffer).error(), Error::kUnavailable);
  EXPECT_EQ(sockets::Receive(socket_, buffer).error(), Error::kAgain);
}

TEST_P(UnreachableTest, ItWakesAPoll) {
  Connect();
  Deliver(PortUnreachable(SendOne()));
  EXPECT_TRUE(Reported());
  EXPECT_FALSE(Reported());
}

TEST_P(UnreachableTest, NetAndHostCountToo) {
  Connect();
  const Bytes quoted = SendOne();
  for (uint8_t code : {0, 1, 2, 3}) {
    if (ipv6() && (code == 1 || code == 2)) continue;  // Prohibited; beyond scope.
    Deliver(ipv6() ? MakeIcmpError(1, code, 0, quoted) : MakeIcmpError(3, code, 0, quoted));
    EXPECT_TRUE(Reported()) << int{code};
  }
}

TEST_P(UnreachableTest, AQuoteCutBehindThePortsIsEnough) {
  Connect();
  Bytes quoted = SendOne();
  quoted.resize(PortsAt() + 8);
  Deliver(PortUnreachable(quoted));
  EXPECT_TRUE(Reported());
}

TEST_P(UnreachableTest, ASocketThatIsNotConnectedHearsNothing) {
  Deliver(PortUnreachable(SendOne(false)));
  EXPECT_FALSE(Reported());
}

TEST_P(UnreachableTest, WhatDoesNotFitIsIgnored) {
  Connect();
  const Bytes good = SendOne();
  const size_t source = ipv6() ? 8 : 12, destination = ipv6() ? 24 : 16, protocol = ipv6() ? 6 : 9;
  for (size_t at : {source + 3, destination + 3, protocol, PortsAt() + 1, PortsAt() + 3, size_t{0}}) {
    Bytes quoted = good;
    quoted[at] ^= std::byte{0x20};
    Deliver(PortUnreachable(quoted));
    EXPECT_FALSE(Reported()) << "byte " << at << " of the quote";
  }
  for (size_t bytes = 1; bytes < PortsAt() + 8; bytes++) {
    Deliver(PortUnreachable({good.begin(), good.begin() + static_cast<ptrdiff_t>(bytes)}));
    EXPECT_FALSE(Reported()) << bytes << " bytes of the quote";
  }
  Bytes frame = PortUnreachable(good);
  frame.back() ^= std::byte{1};
  Deliver(frame);
  EXPECT_FALSE(Reported()) << "bad checksum";
  frame = PortUnreachable(good);
  Store16(&frame[ipv6() ? 18 : 16], 0xffff);
  Deliver(frame);
  EXPECT_FALSE(Reported()) << "longer than the frame";
  Deliver(PortUnreachable(good));
  EXPECT_TRUE(Reported()) << "and the right one still counts";
}

TEST_P(UnreachableTest, DatagramsBehindTheErrorAreNotLost) {
  Connect();
  const Bytes quoted = SendOne();
  const uint16_t port = sockets::LocalAddress(socket_)->port;
  world_.Deliver(ipv6() ? MakeUdp6(9, port, Text2Bytes("data")) : MakeUdp(9, port, Text2Bytes("data")));
  Deliver(PortUnreachable(quoted));
  Bytes buffer(100);
  EXPECT_EQ(sockets::Receive(socket_, buffer).error(), Error::kUnavailable);
  EXPECT_EQ(sockets::Receive(socket_, buffer).value(), 4u);
}

TEST(IcmpErrorTest, OptionsInTheQuotedHeaderAreSkipped) {
  Bytes quoted(24 + 8);
  quoted[0] = std::byte{0x46};
  quoted[9] = std::byte{kProtocolUdp};
  Store16(&quoted[24], 1111);
  Store16(&quoted[26], 2222);
  const Bytes frame = MakeIcmpError(3, 3, 0, quoted);
  IcmpError error;
  ASSERT_TRUE(IcmpError::Parse(frame.data(), static_cast<uint32_t>(frame.size()), &error));
  EXPECT_TRUE(error.quotes);
  EXPECT_EQ(error.local_port, 1111);
  EXPECT_EQ(error.remote_port, 2222);
}

TEST(IcmpErrorTest, ALaterFragmentQuotesNoPorts) {
  Bytes quoted(28);
  quoted[0] = std::byte{0x45};
  Store16(&quoted[6], 185);
  const Bytes frame = MakeIcmpError(3, 3, 0, quoted);
  IcmpError error;
  ASSERT_TRUE(IcmpError::Parse(frame.data(), static_cast<uint32_t>(frame.size()), &error));
  EXPECT_FALSE(error.quotes);
}

TEST(IcmpErrorTest, AnyPrefixOfAFrameIsSafe) {
  Bytes packet(40 + 8);
  packet[0] = std::byte{0x60};
  for (const Bytes& frame :
       {MakeIcmpError(3, 3, 0, Bytes(28, std::byte{0x45})), MakeIcmpError(2, 0, 1280, packet)}) {
    for (uint32_t length = 0; length <= frame.size(); length++) {
      const Bytes cut(frame.begin(), frame.begin() + length);  // Of its own: sanitizers see a read behind it.
      IcmpError error;
      if (IcmpError::Parse(cut.data(), length, &error) && error.quotes) {
        EXPECT_EQ(length, frame.size());
      }
    }
  }
}

}  // namespace
}  // namespace librettos::guest
