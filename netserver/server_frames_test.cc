// Frames of unusual kind through the active server: fragments of guests that share an address, the longest
// ones, and those of a NIC with a large MTU.
#include <gtest/gtest.h>

#include "netserver/server_fixture.h"

namespace librettos::netserver {
namespace {

// A datagram in fragments of 16 bytes of IP payload: the first has the ports.
std::vector<Bytes> Fragments(const MacAddress& from_mac, const MacAddress& to_mac, std::string_view from,
                             std::string_view to, const Bytes& datagram, uint16_t id) {
  std::vector<Bytes> out;
  for (size_t at = 0; at < datagram.size(); at += 16) {
    const size_t end = std::min(at + 16, datagram.size());
    const Bytes part(datagram.begin() + static_cast<ptrdiff_t>(at),
                     datagram.begin() + static_cast<ptrdiff_t>(end));
    out.push_back(Ethernet(from_mac, to_mac, kEtherIpv4) +
                  Ipv4(A(from), A(to), part,
                       {.id = id, .offset = static_cast<uint16_t>(at), .more = end < datagram.size()}));
  }
  return out;
}

class TwoSharers : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    s_ = &AddShared(3);
    t_ = &AddShared(4);
    Activate(kServer, 1);
    s_->Tell(ControlType::kLeaseRequest, kUdp, 53);
    t_->Tell(ControlType::kLeaseRequest, kUdp, 54);
    Run();
    s_->Take();
    t_->Take();
    ASSERT_EQ(s_->replies.back().status, 0);
    ASSERT_EQ(t_->replies.back().status, 0);
  }
  TestGuest* s_ = nullptr;
  TestGuest* t_ = nullptr;
};

TEST_F(TwoSharers, EachGetsAllFragmentsOfItsDatagramsAndNoOthers) {
  const auto one = Fragments(kPeer, kNic, "10.1.0.200", "10.1.0.100", Udp(9, 53, 56), 1);
  const auto two = Fragments(kPeer, kNic, "10.1.0.200", "10.1.0.100", Udp(9, 54, 56), 2);
  ASSERT_EQ(one.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {  // Interleaved.
    nic_.Inject(one[i]);
    nic_.Inject(two[i]);
  }
  Run();
  EXPECT_EQ(s_->Take(), one);
  EXPECT_EQ(t_->Take(), two);
}

TEST_F(TwoSharers, FragmentsBeforeTheirFirstFindTheirGuestToo) {
  auto one = Fragments(kPeer, kNic, "10.1.0.200", "10.1.0.100", Udp(9, 53, 40), 1);
  auto two = Fragments(kPeer, kNic, "10.1.0.200", "10.1.0.100", Udp(9, 54, 40), 2);
  for (size_t i : {2, 1, 0}) {
    nic_.Inject(two[i]);
    nic_.Inject(one[i]);
  }
  Run();
  auto of_s = s_->Take(), of_t = t_->Take();
  std::sort(of_s.begin(), of_s.end());
  std::sort(of_t.begin(), of_t.end());
  std::sort(one.begin(), one.end());
  std::sort(two.begin(), two.end());
  EXPECT_EQ(of_s, one);
  EXPECT_EQ(of_t, two);
}

TEST_F(TwoSharers, FragmentsLeaveOnlyFromALeasedPort) {
  const auto own = Fragments(kNic, kPeer, "10.1.0.100", "10.1.0.200", Udp(53, 9, 40), 1);
  const auto stolen = Fragments(kNic, kPeer, "10.1.0.100", "10.1.0.200", Udp(54, 9, 40), 2);
  for (size_t i = 0; i < own.size(); ++i) {
    s_->Send(own[i]);
    s_->Send(stolen[i]);
  }
  Run();
  ASSERT_EQ(nic_.sent().size(), own.size());
  for (size_t i = 0; i < own.size(); ++i) EXPECT_EQ(nic_.sent()[i].bytes, own[i]);
  // Another's fragments do not become one's own by their identification.
  t_->Send(own[1]);
  Run();
  EXPECT_EQ(nic_.sent().size(), own.size());
}

TEST_F(TwoSharers, TheSameIdentificationOfBothOneAfterTheOther) {
  for (const Bytes& frame : Fragments(kNic, kPeer, "10.1.0.100", "10.1.0.200", Udp(53, 9, 40), 1))
    s_->Send(frame);
  for (const Bytes& frame : Fragments(kNic, kPeer, "10.1.0.100", "10.1.0.200", Udp(54, 9, 40), 1))
    t_->Send(frame);
  Run();
  EXPECT_EQ(nic_.sent().size(), 6u);
}

Bytes LongTcp(const MacAddress& from, const MacAddress& to, std::string_view from_ip, std::string_view to_ip,
              size_t frame_bytes) {
  return Ethernet(from, to, kEtherIpv4) +
         Ipv4(A(from_ip), A(to_ip), Tcp(1, 2, frame_bytes - 14 - 20 - 20), {.protocol = kTcp});
}

TEST_F(ServerTest, TheLongestFrameGoesEveryWay) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  const Offload offload = {.needs_checksum = true,
                           .segmentation = Segmentation::kTcp4,
                           .segment_bytes = 1460,
                           .header_bytes = 54,
                           .checksum_start = 34,
                           .checksum_offset = 16};
  const Bytes out = LongTcp(M(1), kPeer, "10.1.0.1", "10.1.0.200", kMaxFrameBytes);
  ASSERT_EQ(out.size(), 65535u);
  a.Send(out, offload);
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, out);
  EXPECT_EQ(nic_.sent()[0].offload.segment_bytes, 1460);
  const Bytes in = LongTcp(kPeer, M(1), "10.1.0.200", "10.1.0.1", kMaxFrameBytes);
  nic_.Inject(in, offload);
  Run();
  auto got = a.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], in);
  const Bytes across = LongTcp(M(1), M(2), "10.1.0.1", "10.1.0.2", kMaxFrameBytes);
  a.Send(across, offload);
  Run();
  got = b.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], across);
}

TEST_F(ServerTest, FramesBeyondTheMtuOfTheNicAreDroppedAndCounted) {
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  a.Send(Out(1, 9, 1472));
  a.Send(Out(1, 9, 1473));
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes.size(), 1514u);
}

TEST_F(ServerTest, ANicWithAnMtuOf9000) {
  mtu_ = 9000;
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  a.Send(Out(1, 9, 8972));
  a.Send(Out(1, 9, 8973));
  nic_.Inject(In(1, 9, 8972));
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, Out(1, 9, 8972));
  auto got = a.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], In(1, 9, 8972));
}

}  // namespace
}  // namespace librettos::netserver
