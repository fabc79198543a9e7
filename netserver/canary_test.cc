// What passes for one guest is never seen by another, nor behind anybody's frames on the wire: a canary goes
// for some guests by every way that a server knows, short frames for others follow through the same buffers,
// and then all memory that the others share with the server is searched.
#include <gtest/gtest.h>

#include <algorithm>

#include "guest/channel/ring_key.h"
#include "netserver/server_fixture.h"

namespace librettos::netserver {
namespace {

constexpr std::byte kCanary[] = {std::byte{0xc5}, std::byte{0x5a}, std::byte{0xca}, std::byte{0x91}};
constexpr size_t kEnough = 8;  // So many of its bytes in a row are no accident.

void Fill(std::byte* begin, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) begin[i] = kCanary[i % sizeof(kCanary)];
}

// Where a piece of the canary stands, wherever in it the piece begins; -1: nowhere.
ptrdiff_t Search(std::span<const std::byte> memory) {
  ptrdiff_t found = -1;
  for (size_t phase = 0; phase < sizeof(kCanary); ++phase) {
    std::byte piece[kEnough + sizeof(kCanary)];
    Fill(piece, sizeof(piece));
    const auto at = std::search(memory.begin(), memory.end(), piece + phase, piece + phase + kEnough);
    if (at != memory.end()) found = at - memory.begin();
  }
  return found;
}

class CanaryTest : public ServerTest, private MapObserver {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    a_ = &AddDedicated(1);
    b_ = &AddDedicated(2);
    s_ = &AddShared(3);
    t_ = &AddShared(4);
    Activate(kServer, 1);
    Lease(*s_, 53);
    Lease(*t_, 54);
  }
  void Lease(TestGuest& guest, uint16_t port) {
    guest.Tell(ControlType::kLeaseRequest, kUdp, port);
    Run();
    guest.Take();
    ASSERT_EQ(guest.replies.back().status, 0);
  }

  // A datagram that is full of it.
  static Bytes Secret(const MacAddress& from_mac, const MacAddress& to_mac, std::string_view from,
                      std::string_view to, uint16_t from_port, uint16_t to_port, size_t data = 1400) {
    Bytes frame = Udp4(from_mac, to_mac, from, to, from_port, to_port, data);
    Fill(frame.data() + frame.size() - data, data);
    return frame;
  }
  static Bytes SecretSegment(const MacAddress& from_mac, const MacAddress& to_mac, std::string_view from,
                             std::string_view to, size_t data) {
    Bytes segment = Tcp(1, 2, data);
    Fill(segment.data() + 20, data);
    return Ethernet(from_mac, to_mac, kEtherIpv4) + Ipv4(A(from), A(to), segment, {.protocol = kTcp});
  }
  static std::vector<Bytes> SecretFragments(uint16_t port, uint16_t id) {
    Bytes datagram = Udp(9, port, 1200);
    Fill(datagram.data() + 8, 1200);
    std::vector<Bytes> out;
    for (size_t at = 0; at < datagram.size(); at += 400) {
      const auto begin = datagram.begin() + static_cast<ptrdiff_t>(at);
      const size_t bytes = std::min<size_t>(400, datagram.size() - at);
      out.push_back(
          Ethernet(kPeer, kNic, kEtherIpv4) +
          Ipv4(A("10.1.0.200"), A("10.1.0.100"), Bytes(begin, begin + static_cast<ptrdiff_t>(bytes)),
               {.id = id, .offset = static_cast<uint16_t>(at), .more = at + bytes < datagram.size()}));
    }
    return out;
  }
  static constexpr Offload kSegments = {.needs_checksum = true,
                                        .segmentation = Segmentation::kTcp4,
                                        .segment_bytes = 1460,
                                        .header_bytes = 54,
                                        .checksum_start = 34,
                                        .checksum_offset = 16};

  // For A and S alone, by every way and through every buffer.
  void PassSecrets() {
    for (int i = 0; i < 64; ++i) {  // More than a batch.
      a_->Send(Secret(M(1), kPeer, "10.1.0.1", "10.1.0.200", 1, 9));
      nic_.Inject(Secret(kPeer, M(1), "10.1.0.200", "10.1.0.1", 9, 1));
      s_->Send(Secret(kNic, kPeer, "10.1.0.100", "10.1.0.200", 53, 9));
      nic_.Inject(Secret(kPeer, kNic, "10.1.0.200", "10.1.0.100", 9, 53));
      nic_.Inject(Secret(kPeer, M(9), "10.1.0.200", "10.1.0.9", 9, 1));  // Nobody's.
      a_->Send(Secret(M(7), kPeer, "10.1.0.1", "10.1.0.200", 1, 9));     // Refused.
      Run(4);
      TakeSecrets();
    }
    a_->Send(SecretSegment(M(1), kPeer, "10.1.0.1", "10.1.0.200", 60000), kSegments);
    nic_.Inject(SecretSegment(kPeer, M(1), "10.1.0.200", "10.1.0.1", 60000), kSegments);
    a_->Send(Secret(M(1), kNic, "10.1.0.1", "10.1.0.100", 1, 53));
    s_->Send(Secret(kNic, M(1), "10.1.0.100", "10.1.0.1", 53, 1));
    Bytes echo(1200);
    Fill(echo.data(), echo.size());
    const Bytes ping = Icmp(kEchoRequest4, echo);
    a_->Send(Ethernet(M(1), kNic, kEtherIpv4) +
             Ipv4(A("10.1.0.1"), A("10.1.0.100"), ping, {.protocol = kIcmp}));
    nic_.Inject(Ethernet(kPeer, kNic, kEtherIpv4) +
                Ipv4(A("10.1.0.200"), A("10.1.0.100"), ping, {.protocol = kIcmp}));
    Bytes quote = Ipv4(A("10.1.0.100"), A("10.1.0.200"), Udp(53, 9, 400));
    Fill(quote.data() + 28, 400);
    nic_.Inject(Ethernet(kPeer, kNic, kEtherIpv4) +
                Ipv4(A("10.1.0.200"), A("10.1.0.100"), Icmp(3, quote), {.protocol = kIcmp}));
    for (const Bytes& fragment : SecretFragments(53, 1)) nic_.Inject(fragment);
    auto late = SecretFragments(53, 2);
    std::reverse(late.begin(), late.end());
    for (const Bytes& fragment : late) nic_.Inject(fragment);
    Run();
    TakeSecrets();
  }
  void TakeSecrets() {
    passed_ += a_->Take().size() + s_->Take().size();
    for (const auto& frame : nic_.sent()) passed_ += Search(frame.bytes) >= 0;
    nic_.sent().clear();
  }

  // The shortest frames of each way, for and from the others; those that leave are as they were sent.
  void PassShortFrames(TestGuest& dedicated, uint8_t number, TestGuest& shared, uint16_t port) {
    const std::string ip = "10.1.0." + std::to_string(number);
    std::vector<Bytes> leave;
    for (int i = 0; i < 64; ++i) {
      leave.push_back(Udp4(M(number), kPeer, ip, "10.1.0.200", 1, 9, 1));
      dedicated.Send(leave.back());
      dedicated.Send(Udp4(M(number), kNic, ip, "10.1.0.100", 1, port, 1));
      nic_.Inject(Udp4(kPeer, M(number), "10.1.0.200", ip, 1, 9, 1));
      nic_.Inject(Udp4(kPeer, kNic, "10.1.0.200", "10.1.0.100", 9, port, 1));
      nic_.Inject(Arp(kArpRequest, kPeer, A("10.1.0.200"), A(ip)));
      nic_.Inject(Arp(kArpRequest, kPeer, A("10.1.0.200"), A("10.1.0.200")));  // For all.
      Run(4);
      got_ += dedicated.Take().size() + shared.Take().size();
    }
    // Answers that the server makes.
    dedicated.Send(Arp(kArpRequest, M(number), A(ip), A("10.1.0.100")));
    dedicated.Send(Ethernet(M(number), kNic, kEtherIpv4) +
                   Ipv4(A(ip), A("10.1.0.100"), Icmp(kEchoRequest4), {.protocol = kIcmp}));
    const Address own = A("fd00::" + std::to_string(number));
    dedicated.Send(
        Ethernet(M(number), kBroadcast, kEtherIpv6) +
        Ipv6(own, A("fd00::100"), kIcmp6, Nd(kNeighbourSolicitation, A("fd00::100"), nullptr), 255));
    shared.Tell(ControlType::kLeaseRequest, kTcp, 0, 77);
    shared.Tell(ControlType::kLeaseRequest, kUdp, 53, 78);
    Run();
    got_ += dedicated.Take().size() + shared.Take().size();
    size_t left = 0;
    for (const auto& frame : nic_.sent()) {
      EXPECT_EQ(Search(frame.bytes), -1) << "behind a frame of " << frame.bytes.size() << " bytes";
      left += std::find(leave.begin(), leave.end(), frame.bytes) != leave.end();
    }
    EXPECT_EQ(left, leave.size());
    nic_.sent().clear();
  }

  void OnMapped(Result<Mapping*> mapping) override { mapping_ = mapping.ok() ? *mapping : nullptr; }
  // All that a guest shares with its server.
  std::span<const std::byte> MemoryOf(DomainId guest) {
    const auto key =
        channel::RingKey::Parse(Read(guest, "device/vif/0/frontend/" + std::to_string(kServer) + "/ring"));
    EXPECT_TRUE(key.has_value());
    Platform* server = world_.domain(kServer);
    server->Map(guest, key->ref, key->geometry.total_bytes(), true, this);
    world_.RunUntilIdle();
    EXPECT_NE(mapping_, nullptr);
    return mapping_->bytes();
  }

  TestGuest *a_, *b_, *s_, *t_;
  size_t passed_ = 0, got_ = 0;

 private:
  Mapping* mapping_ = nullptr;
};

TEST_F(CanaryTest, OthersSeeNothingOfWhatPassesForAGuest) {
  PassSecrets();
  EXPECT_GT(passed_, 250u);
  EXPECT_GE(Search(MemoryOf(1)), 0) << "it would not be found";
  EXPECT_GE(Search(MemoryOf(3)), 0) << "it would not be found";
  PassShortFrames(*b_, 2, *t_, 54);
  EXPECT_GT(got_, 250u);
  EXPECT_EQ(Search(MemoryOf(2)), -1);
  EXPECT_EQ(Search(MemoryOf(4)), -1);
}

TEST_F(CanaryTest, WhoComesInADeadGuestsPlaceSeesNothingOfIt) {
  PassSecrets();
  // The first one is still to come.
  const auto fragments = SecretFragments(53, 3);
  nic_.Inject(fragments[1]);
  nic_.Inject(fragments[2]);
  Run();
  for (const DomainId dead : {1, 3}) {
    world_.Remove(Path(kServer, "backend/vif/" + std::to_string(dead)));
    world_.KillDomain(dead);
  }
  Run();
  TestGuest& next = AddDedicated(5);
  TestGuest& sharer = AddShared(6);
  Run();
  Lease(sharer, 53);
  // It is for whoever has the port now; what came before was not.
  const Bytes first = Ethernet(kPeer, kNic, kEtherIpv4) +
                      Ipv4(A("10.1.0.200"), A("10.1.0.100"), Udp(9, 53, 8), {.id = 3, .more = true});
  nic_.Inject(first);
  Run();
  EXPECT_EQ(sharer.Take().size(), 1u);
  nic_.sent().clear();
  PassShortFrames(next, 5, sharer, 53);
  EXPECT_EQ(Search(MemoryOf(5)), -1);
  EXPECT_EQ(Search(MemoryOf(6)), -1);
  EXPECT_EQ(Search(MemoryOf(2)), -1);
  EXPECT_EQ(Search(MemoryOf(4)), -1);
}

}  // namespace
}  // namespace librettos::netserver
