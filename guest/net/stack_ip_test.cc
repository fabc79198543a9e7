// What the guest does below TCP and UDP: ARP, neighbour discovery, echo, and frames that are not for it; and
// the largest frames there are.
#include <gtest/gtest.h>

#include <cstring>

#include "guest/net/headers.h"
#include "guest/net/testing/tcp_peer.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

Bytes MakeArp(uint16_t operation, uint32_t sender, uint32_t target, const MacAddress& to) {
  Bytes frame(60);
  std::memcpy(frame.data(), to.data(), 6);
  std::memcpy(&frame[6], TestWorld::kPeerMac.data(), 6);
  Store16(&frame[12], 0x0806);
  Store16(&frame[14], 1);
  Store16(&frame[16], kEtherIpv4);
  frame[18] = std::byte{6};
  frame[19] = std::byte{4};
  Store16(&frame[20], operation);
  std::memcpy(&frame[22], TestWorld::kPeerMac.data(), 6);
  Store32(&frame[28], sender);
  Store32(&frame[38], target);
  return frame;
}
constexpr MacAddress kBroadcast = {255, 255, 255, 255, 255, 255};

class StackIpTest : public testing::Test {
 protected:
  std::vector<Frame> Answers(const Bytes& frame, const Offload& offload = {}) {
    world_.Deliver(frame, offload);
    world_.Turn();
    return world_.TakeSent();
  }
  static bool FromGuestToPeer(const Bytes& frame) {
    return std::memcmp(frame.data(), TestWorld::kPeerMac.data(), 6) == 0 &&
           std::memcmp(&frame[6], TestWorld::kGuestMac.data(), 6) == 0;
  }
  TestWorld world_;
};

TEST_F(StackIpTest, AnArpRequestForOurAddressIsAnswered) {
  auto answers = Answers(MakeArp(1, TestWorld::kPeerIp, TestWorld::kGuestIp, kBroadcast));
  ASSERT_EQ(answers.size(), 1u);
  const Bytes& reply = answers[0].bytes;
  EXPECT_TRUE(FromGuestToPeer(reply));
  EXPECT_EQ(Load16(&reply[12]), 0x0806);
  EXPECT_EQ(Load16(&reply[20]), 2);
  EXPECT_EQ(std::memcmp(&reply[22], TestWorld::kGuestMac.data(), 6), 0);
  EXPECT_EQ(Load32(&reply[28]), TestWorld::kGuestIp);
  EXPECT_EQ(Load32(&reply[38]), TestWorld::kPeerIp);
}

TEST_F(StackIpTest, AnArpRequestForAnotherAddressIsNot) {
  EXPECT_TRUE(Answers(MakeArp(1, TestWorld::kPeerIp, TestWorld::kGuestIp + 1, kBroadcast)).empty());
}

TEST_F(StackIpTest, TheGuestAsksAndSendsWhenItKnows) {
  int socket = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
  ASSERT_TRUE(sockets::SendTo(socket, Text2Bytes("one"), peer).ok());
  ASSERT_TRUE(sockets::SendTo(socket, Text2Bytes("two"), peer).ok());
  world_.Turn();
  auto asked = world_.TakeSent();
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(Load16(&asked[0].bytes[12]), 0x0806);
  EXPECT_EQ(Load16(&asked[0].bytes[20]), 1);
  EXPECT_EQ(Load32(&asked[0].bytes[38]), TestWorld::kPeerIp);
  auto sent = Answers(MakeArp(2, TestWorld::kPeerIp, TestWorld::kGuestIp, TestWorld::kGuestMac));
  ASSERT_EQ(sent.size(), 2u) << "both, in order";
  EXPECT_EQ(std::memcmp(&sent[0].bytes[42], "one", 3), 0);
  EXPECT_EQ(std::memcmp(&sent[1].bytes[42], "two", 3), 0);
  sockets::Close(socket);
}

Bytes Solicitation(const Ip6& target) {
  Bytes solicitation(32);
  solicitation[0] = std::byte{135};
  std::memcpy(&solicitation[8], target.data(), 16);
  solicitation[24] = solicitation[25] = std::byte{1};
  std::memcpy(&solicitation[26], TestWorld::kPeerMac.data(), 6);
  return solicitation;
}

TEST_F(StackIpTest, ASolicitationOfOurAddressIsAnswered) {
  auto answers = Answers(MakeIp6Summed(kProtocolIcmp6, Solicitation(kGuestIp6), 2, 255));
  ASSERT_EQ(answers.size(), 1u);
  const Bytes& reply = answers[0].bytes;
  EXPECT_TRUE(FromGuestToPeer(reply));
  EXPECT_EQ(Load8(&reply[54]), 136);
  EXPECT_EQ(Load8(&reply[21]), 255);
  EXPECT_EQ(Load8(&reply[58]) & 0x40, 0x40) << "solicited";
  EXPECT_EQ(std::memcmp(&reply[62], kGuestIp6.data(), 16), 0);
}

TEST_F(StackIpTest, ASolicitationFromAfarOrForOthersIsNot) {
  EXPECT_TRUE(Answers(MakeIp6Summed(kProtocolIcmp6, Solicitation(kGuestIp6), 2, 64)).empty());
  Ip6 other = kGuestIp6;
  other[15] = 6;
  EXPECT_TRUE(Answers(MakeIp6Summed(kProtocolIcmp6, Solicitation(other), 2, 255)).empty());
}

Bytes Echo(uint8_t type, size_t payload) {
  Bytes icmp(8 + payload);
  icmp[0] = std::byte{type};
  Store16(&icmp[4], 0x1234);
  Store16(&icmp[6], 7);
  for (size_t i = 0; i < payload; i++) icmp[8 + i] = static_cast<std::byte>(i);
  return icmp;
}

TEST_F(StackIpTest, EchoIsAnsweredWithTheSame) {
  world_.TeachArp();
  world_.TeachNd();
  for (size_t payload : {0, 1, 56, 1472}) {
    Bytes icmp = Echo(8, payload);
    Store16(&icmp[2], static_cast<uint16_t>(~Fold(Sum(icmp.data(), icmp.size()))));
    auto answers = Answers(MakeIp4(kProtocolIcmp, icmp));
    ASSERT_EQ(answers.size(), 1u) << payload;
    const Bytes& reply = answers[0].bytes;
    EXPECT_EQ(Load8(&reply[34]), 0);
    EXPECT_EQ(Fold(Sum(&reply[34], reply.size() - 34)), 0xffff);
    EXPECT_EQ(Fold(Sum(&reply[14], 20)), 0xffff);
    EXPECT_TRUE(std::equal(reply.begin() + 38, reply.end(), icmp.begin() + 4, icmp.end()));
  }
  for (size_t payload : {0, 1, 56, 1452}) {
    const Bytes icmp = Echo(128, payload);
    auto answers = Answers(MakeIp6Summed(kProtocolIcmp6, icmp, 2));
    ASSERT_EQ(answers.size(), 1u) << payload;
    const Bytes& reply = answers[0].bytes;
    const auto bytes = static_cast<uint32_t>(reply.size() - 54);
    EXPECT_EQ(Load8(&reply[54]), 129);
    const Layout layout{true, kProtocolIcmp6, 54, 0};
    EXPECT_EQ(Fold(Sum(&reply[54], bytes, PseudoSum(reply.data(), layout, bytes))), 0xffff);
    EXPECT_TRUE(std::equal(reply.begin() + 58, reply.end(), icmp.begin() + 4, icmp.end()));
  }
}

TEST_F(StackIpTest, EchoWithABadChecksumIsNotAnswered) {
  world_.TeachArp();
  world_.TeachNd();
  const uint64_t before = world_.stack().interface().Get(Counter::k_rx_checksum_errors);
  Bytes icmp = Echo(8, 10);
  Store16(&icmp[2], static_cast<uint16_t>(~Fold(Sum(icmp.data(), icmp.size())) + 1));
  EXPECT_TRUE(Answers(MakeIp4(kProtocolIcmp, icmp)).empty());
  Bytes frame = MakeIp6Summed(kProtocolIcmp6, Echo(128, 10), 2);
  frame.back() ^= std::byte{1};
  EXPECT_TRUE(Answers(frame).empty());
  EXPECT_EQ(world_.stack().interface().Get(Counter::k_rx_checksum_errors), before + 2);
}

TEST_F(StackIpTest, FramesThatAreNotForUsAreIgnored) {
  world_.TeachArp();
  world_.TeachNd();
  Bytes icmp = Echo(8, 10);
  Store16(&icmp[2], static_cast<uint16_t>(~Fold(Sum(icmp.data(), icmp.size()))));
  const Bytes good = MakeIp4(kProtocolIcmp, icmp), good6 = MakeIp6Summed(kProtocolIcmp6, Echo(128, 10), 2);
  ASSERT_EQ(Answers(good).size(), 1u);
  ASSERT_EQ(Answers(good6).size(), 1u);

  for (Bytes frame : {good, good6}) {
    frame[5] = std::byte{0x77};
    EXPECT_TRUE(Answers(frame).empty()) << "another MAC";
    frame[5] = std::byte{1};
    std::memcpy(&frame[6], TestWorld::kGuestMac.data(), 6);
    EXPECT_TRUE(Answers(frame).empty()) << "our own, come back";
  }
  Bytes other = good;
  Store32(&other[30], TestWorld::kGuestIp + 1);
  Store16(&other[24], 0);
  Store16(&other[24], static_cast<uint16_t>(~Fold(Sum(&other[14], 20))));
  EXPECT_TRUE(Answers(other).empty()) << "another IPv4 address";
  Bytes bad = good;
  bad[25] ^= std::byte{1};
  EXPECT_TRUE(Answers(bad).empty()) << "bad header checksum";
  Bytes other6 = good6;
  other6[53] = std::byte{6};
  EXPECT_TRUE(Answers(other6).empty()) << "another IPv6 address";
  Bytes type = good;
  Store16(&type[12], 0x88b5);
  EXPECT_TRUE(Answers(type).empty()) << "another protocol";
  for (const Bytes& frame : {good, good6}) {
    for (size_t length = 14; length < frame.size(); length++) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_TRUE(Answers(cut).empty()) << length;
    }
  }
}

// A frame of kMaxFrameBytes, both ways round the ring's slots.
// Headers that are announced and not there, or not wholly, at the very end of a frame: a sanitizer says what
// is read.
TEST_F(StackIpTest, ExtensionHeadersThatAreCutOffAreDropped) {
  for (uint8_t next : {0, 43, 44, 60}) {
    for (size_t there = 0; there < 8; ++there) {
      Bytes cut(there);
      for (std::byte& byte : cut) byte = std::byte{kProtocolIcmp6};
      EXPECT_TRUE(Answers(MakeIp6(next, cut)).empty()) << int{next} << " of " << there;
    }
  }
}

TEST_F(StackIpTest, TheLongestFrameIsTaken) {
  world_.TeachArp();
  world_.TeachNd();
  int listener = sockets::Socket(sockets::Family::kIpv6, sockets::Type::kStream).value();
  ASSERT_TRUE(sockets::Bind(listener, sockets::Address::Any(sockets::Family::kIpv6, 80)).ok());
  ASSERT_TRUE(sockets::Listen(listener, 4).ok());
  for (bool ipv6 : {false, true}) {
    TcpPeer peer(world_, ipv6, ipv6 ? 4006 : 4004);
    peer.syn_options = {std::byte{1}, std::byte{3}, std::byte{3}, std::byte{7}};
    peer.ConnectTo(80);
    const int socket = sockets::Accept(listener, nullptr).value();
    const size_t bytes = kMaxFrameBytes - (ipv6 ? 54 : 34) - 20;
    std::string sent(bytes, 0);
    for (size_t i = 0; i < bytes; i++) sent[i] = static_cast<char>(i * 7 >> 2);
    for (int i = 0; i < 3; i++) {
      peer.Send(kTcpAck | kTcpPsh, sent);
      EXPECT_EQ(peer.Take().back().acknowledged, peer.sequence);
      Bytes got(bytes + 1);
      ASSERT_EQ(sockets::Receive(socket, got).value(), bytes);
      EXPECT_EQ(std::memcmp(got.data(), sent.data(), bytes), 0);
    }
    sockets::Close(socket);
  }
  sockets::Close(listener);
}

TEST(StackJumboTest, AnMtuOf9000IsUsedBothWays) {
  TestWorld world({.mtu = "9000"});
  world.TeachArp();
  int socket = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  ASSERT_TRUE(sockets::Bind(socket, sockets::Address::Any(sockets::Family::kIpv4, 7)).ok());
  world.Deliver(MakeUdp(9, 7, Bytes(8972)));
  world.Turn();
  Bytes buffer(10000);
  EXPECT_EQ(sockets::Receive(socket, buffer).value(), 8972u);
  auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
  ASSERT_TRUE(sockets::SendTo(socket, Bytes(8972), peer).ok());
  ASSERT_TRUE(sockets::SendTo(socket, Bytes(8973), peer).ok());
  world.Turn();
  auto sent = world.TakeSent();
  ASSERT_EQ(sent.size(), 3u) << "one whole, one in two fragments";
  EXPECT_EQ(sent[0].bytes.size(), 9014u);
  EXPECT_LE(sent[1].bytes.size(), 9014u);
  sockets::Close(socket);

  int stream = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kStream).value();
  ASSERT_EQ(sockets::Connect(stream, sockets::Address::Parse("10.1.0.1", 80).value()).error(), Error::kAgain);
  TcpPeer tcp(world, false, 80);
  tcp.syn_options = {std::byte{2}, std::byte{4}, std::byte{0x23}, std::byte{0}};
  tcp.Accept();
  ASSERT_TRUE(sockets::Send(stream, Bytes(20000)).ok());
  world.Turn();
  bool segmented = false;
  for (auto& frame : world.TakeSent()) {
    if (frame.offload.segmentation == Segmentation::kNone) continue;
    EXPECT_EQ(frame.offload.segment_bytes, 8960);
    segmented = true;
  }
  EXPECT_TRUE(segmented);
  sockets::Close(stream);
}

TEST(StackJumboTest, ANicWithAnMtuOf9000) {
  fake::FakeNic nic(TestWorld::kGuestMac, 9000);
  nic.SetFeatures({});  // No offloads: frames of the MTU itself.
  TestWorld world({.mtu = "9000"});
  world.TeachArp();
  world.stack().interface().SetNic(&nic);
  world.stack().interface().SetRoute(Route::kNic);
  int socket = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  ASSERT_TRUE(sockets::Bind(socket, sockets::Address::Any(sockets::Family::kIpv4, 7)).ok());
  nic.Inject(MakeUdp(9, 7, Bytes(8972)));
  world.Turn();
  Bytes buffer(10000);
  EXPECT_EQ(sockets::Receive(socket, buffer).value(), 8972u);
  ASSERT_TRUE(sockets::SendTo(socket, Bytes(8972), sockets::Address::Parse("10.1.0.1", 9).value()).ok());
  world.Turn();
  ASSERT_EQ(nic.sent().size(), 1u);
  EXPECT_EQ(nic.sent()[0].bytes.size(), 9014u);
  sockets::Close(socket);
  world.stack().interface().SetNic(nullptr);
  world.stack().interface().SetRoute(Route::kChannel);
}

}  // namespace
}  // namespace librettos::guest
