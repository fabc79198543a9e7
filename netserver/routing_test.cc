// The source check, the demultiplexer and the responder.
#include <gtest/gtest.h>

#include <memory>

#include "netserver/demultiplexer.h"
#include "netserver/responder.h"
#include "netserver/source_check.h"
#include "netserver/testing_frames.h"

namespace librettos::netserver {
namespace {

using namespace testing;
using Local = Verdict::Local;

constexpr std::string_view kShared4 = "10.1.0.100", kShared6 = "fd00::100";
const MacAddress kNic = M(0xff), kPeer = M(0xee);

class RoutingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = Add(1, "02:00:00:00:00:01 dedicated 10.1.0.1/24 fd00::1/64");
    b_ = Add(2, "02:00:00:00:00:02 dedicated 10.1.0.2/24 fd00::2/64");
    s_ = Add(3, "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64");
    t_ = Add(4, "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64");
    AddressList shared;
    shared.Add(A(kShared4));
    shared.Add(A(kShared6));
    demultiplexer_->SetShared(shared, kNic);
    Lease(s_, kUdp, 53);
    Lease(s_, kTcp, 80);
    Lease(t_, kUdp, 54);
  }
  Guest* Add(DomainId id, std::string_view text) {
    GuestIdentity identity;
    EXPECT_TRUE(GuestIdentity::Parse(text, identity));
    Guest* guest = guests_.Add(id, identity).value();
    guest->active = true;
    return guest;
  }
  void Lease(Guest* guest, uint8_t protocol, uint16_t port) {
    channel::ControlMessage request{}, reply{};
    request.protocol = protocol;
    request.port = port;
    leases_->Request(*guest, request, 0, reply);
    EXPECT_EQ(reply.status, 0);
  }
  Packet Read(const Bytes& frame) {
    Packet packet;
    EXPECT_EQ(ParseFrame(frame, packet), Parsed::kOk);
    return packet;
  }
  Fate Check(Guest* from, const Bytes& frame) {
    return CheckSource(Read(frame), *from, demultiplexer_->shared(), *leases_, *sent_, now_);
  }
  Verdict Wire(const Bytes& frame) { return demultiplexer_->FromWire(Read(frame), now_); }
  Verdict From(Guest* from, const Bytes& frame) {
    return demultiplexer_->FromGuest(Read(frame), *from, now_);
  }

  GuestTable guests_;
  std::unique_ptr<LeaseTable> leases_ = std::make_unique<LeaseTable>();
  std::unique_ptr<Demultiplexer> demultiplexer_ = std::make_unique<Demultiplexer>(guests_, *leases_);
  std::unique_ptr<FragmentTable> sent_ = std::make_unique<FragmentTable>();
  Nanoseconds now_ = 1;
  Guest *a_, *b_, *s_, *t_;
};

Bytes V6(const MacAddress& mac, const MacAddress& to, std::string_view from, std::string_view dest,
         uint8_t next, const Bytes& payload, uint8_t hops = 64) {
  return Ethernet(mac, to, kEtherIpv6) + Ipv6(A(from), A(dest), next, payload, hops);
}

// ---- Source check ----

TEST_F(RoutingTest, DedicatedGuestSendsAsItselfOnly) {
  EXPECT_EQ(Check(a_, Udp4(M(1), kPeer, "10.1.0.1", "10.1.0.9", 1, 2)), Fate::kForwarded);
  EXPECT_EQ(Check(a_, Udp4(M(2), kPeer, "10.1.0.1", "10.1.0.9", 1, 2)), Fate::k_spoofed_mac);
  EXPECT_EQ(Check(a_, Udp4(M(1), kPeer, "10.1.0.2", "10.1.0.9", 1, 2)), Fate::k_spoofed_address);
  EXPECT_EQ(Check(a_, Udp4(M(1), kPeer, kShared4, "10.1.0.9", 53, 2)), Fate::k_spoofed_address);
  EXPECT_EQ(Check(a_, Udp4(M(1), kPeer, "0.0.0.0", "10.1.0.9", 1, 2)), Fate::k_spoofed_address);
  EXPECT_EQ(Check(a_, V6(M(1), kPeer, "fd00::1", "fd00::9", kUdp, Udp(1, 2))), Fate::kForwarded);
  EXPECT_EQ(Check(a_, V6(M(1), kPeer, "fe80::ff:fe00:1", "fe80::9", kUdp, Udp(1, 2))), Fate::kForwarded);
  EXPECT_EQ(Check(a_, V6(M(1), kPeer, "fe80::ff:fe00:2", "fe80::9", kUdp, Udp(1, 2))),
            Fate::k_spoofed_address);
  EXPECT_EQ(Check(a_, V6(M(1), kPeer, "::", "fd00::9", kUdp, Udp(1, 2))), Fate::k_spoofed_address);
}

TEST_F(RoutingTest, ArpAsItselfOnly) {
  EXPECT_EQ(Check(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.9"))), Fate::kForwarded);
  EXPECT_EQ(Check(a_, Arp(kArpReply, M(1), A("10.1.0.1"), A("10.1.0.9"), kPeer)), Fate::kForwarded);
  EXPECT_EQ(Check(a_, Arp(kArpRequest, M(1), A("10.1.0.2"), A("10.1.0.9"))), Fate::k_spoofed_address);
  EXPECT_EQ(Check(a_, Arp(kArpRequest, M(1), A("0.0.0.0"), A("10.1.0.1"))), Fate::kForwarded) << "probe";
  EXPECT_EQ(Check(a_, Arp(kArpReply, M(1), A("0.0.0.0"), A("10.1.0.1"))), Fate::k_spoofed_address);
  Bytes inner = Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.9"));
  inner[27] = std::byte{2};
  EXPECT_EQ(Check(a_, inner), Fate::k_spoofed_mac) << "sender inside";
}

TEST_F(RoutingTest, NeighbourDiscoveryAsItselfOnly) {
  MacAddress own = M(1), other = M(2);
  MacAddress all = {0x33, 0x33, 0, 0, 0, 1};
  auto nd = [&](uint8_t type, std::string_view from, std::string_view target, const MacAddress* link) {
    return Check(a_,
                 V6(M(1), all, from, "ff02::1", kIcmp6, Nd(type, A(target), link, type == 135 ? 1 : 2), 255));
  };
  EXPECT_EQ(nd(135, "fd00::1", "fd00::9", &own), Fate::kForwarded);
  EXPECT_EQ(nd(135, "fd00::1", "fd00::9", &other), Fate::k_spoofed_mac);
  EXPECT_EQ(nd(135, "::", "fd00::1", nullptr), Fate::kForwarded) << "duplicate address detection";
  EXPECT_EQ(nd(135, "::", "fd00::1", &own), Fate::k_spoofed_address);
  EXPECT_EQ(nd(136, "fd00::1", "fd00::1", &own), Fate::kForwarded);
  EXPECT_EQ(nd(136, "fd00::1", "fd00::2", &own), Fate::k_spoofed_address);
  EXPECT_EQ(nd(136, "fd00::1", "fd00::1", &other), Fate::k_spoofed_mac);
  EXPECT_EQ(Check(a_, V6(M(1), all, "fe80::ff:fe00:1", "ff02::1", kIcmp6, Icmp(134, Bytes(8)), 255)),
            Fate::k_spoofed_address)
      << "no guest is a router";
}

TEST_F(RoutingTest, SharedGuestNeedsALeaseForItsPort) {
  EXPECT_EQ(Check(s_, Udp4(kNic, kPeer, kShared4, "10.1.0.9", 53, 2)), Fate::kForwarded);
  EXPECT_EQ(Check(s_, Udp4(kNic, kPeer, kShared4, "10.1.0.9", 54, 2)), Fate::k_unleased_port);
  EXPECT_EQ(Check(s_, Udp4(kNic, kPeer, kShared4, "10.1.0.9", 80, 2)), Fate::k_unleased_port)
      << "leased for TCP";
  EXPECT_EQ(Check(s_, V6(kNic, kPeer, kShared6, "fd00::9", kTcp, Tcp(80, 2))), Fate::kForwarded);
  EXPECT_EQ(Check(s_, Udp4(kNic, kPeer, "10.1.0.1", "10.1.0.9", 53, 2)), Fate::k_spoofed_address);
  EXPECT_EQ(Check(s_, Ethernet(kNic, kPeer, kEtherIpv4) +
                          Ipv4(A(kShared4), A("10.1.0.9"), Icmp(8), {.protocol = kIcmp})),
            Fate::k_unsupported);
  auto error = [&](uint16_t port) {
    return Ethernet(kNic, kPeer, kEtherIpv4) + Ipv4(A(kShared4), A("10.1.0.9"),
                                                    Icmp(3, Ipv4(A("10.1.0.9"), A(kShared4), Udp(9, port))),
                                                    {.protocol = kIcmp});
  };
  EXPECT_EQ(Check(s_, error(53)), Fate::kForwarded);
  EXPECT_EQ(Check(s_, error(54)), Fate::k_unleased_port) << "about another's packet";
}

TEST_F(RoutingTest, SharedGuestsFragments) {
  auto fragment = [&](uint16_t id, uint16_t offset, bool more, uint16_t port = 53) {
    return Ethernet(kNic, kPeer, kEtherIpv4) + Ipv4(A(kShared4), A("10.1.0.9"),
                                                    offset ? Bytes(16) : Udp(port, 2, 8),
                                                    {.id = id, .offset = offset, .more = more});
  };
  EXPECT_EQ(Check(s_, fragment(1, 16, false)), Fate::k_fragment_unmatched);
  EXPECT_EQ(Check(s_, fragment(1, 0, true)), Fate::kForwarded);
  EXPECT_EQ(Check(s_, fragment(1, 16, false)), Fate::kForwarded);
  EXPECT_EQ(Check(t_, fragment(1, 16, false)), Fate::k_fragment_unmatched) << "into another's datagram";
  EXPECT_EQ(Check(s_, fragment(2, 0, true, 54)), Fate::k_unleased_port);
  EXPECT_EQ(Check(s_, fragment(2, 16, false)), Fate::k_fragment_unmatched);
}

TEST_F(RoutingTest, OffloadMustFitTheHeaders) {
  Packet tcp4 = Read(Ethernet(M(1), kPeer, kEtherIpv4) +
                     Ipv4(A("10.1.0.1"), A("10.1.0.9"), Tcp(1, 2, 3000), {.protocol = kTcp}));
  Offload good{.needs_checksum = true,
               .segmentation = Segmentation::kTcp4,
               .segment_bytes = 1448,
               .checksum_start = 34,
               .checksum_offset = 16};
  EXPECT_TRUE(OffloadFits(tcp4, good));
  EXPECT_TRUE(OffloadFits(tcp4, {}));
  Offload bad = good;
  bad.segmentation = Segmentation::kTcp6;
  EXPECT_FALSE(OffloadFits(tcp4, bad));
  bad = good;
  bad.checksum_start = 14;  // Would write into the IP addresses.
  EXPECT_FALSE(OffloadFits(tcp4, bad));
  bad = good;
  bad.checksum_offset = 0;  // Would write into the ports.
  EXPECT_FALSE(OffloadFits(tcp4, bad));
  bad = good;
  bad.segment_bytes = 0;
  EXPECT_FALSE(OffloadFits(tcp4, bad));
  bad = good;
  bad.needs_checksum = false;
  EXPECT_FALSE(OffloadFits(tcp4, bad));
  Packet udp = Read(Udp4(M(1), kPeer, "10.1.0.1", "10.1.0.9", 1, 2));
  EXPECT_FALSE(OffloadFits(udp, good));
  EXPECT_TRUE(OffloadFits(udp, {.needs_checksum = true, .checksum_start = 34, .checksum_offset = 6}));
}

// ---- Demultiplexer ----

TEST_F(RoutingTest, WireUnicast) {
  Verdict v = Wire(Udp4(kPeer, M(1), "10.1.0.9", "10.1.0.1", 1, 2));
  EXPECT_EQ(v.local, Local::kOne);
  EXPECT_EQ(v.guest, a_);
  EXPECT_FALSE(v.wire);
  EXPECT_EQ(Wire(Udp4(kPeer, M(77), "10.1.0.9", "10.1.0.1", 1, 2)).fate, Fate::k_unknown_destination);
  EXPECT_EQ(Wire(Udp4(kPeer, kNic, "10.1.0.9", "10.1.0.2", 1, 2)).guest, b_) << "by address";
  EXPECT_EQ(Wire(Udp4(kPeer, kNic, "10.1.0.9", "10.1.0.77", 1, 2)).fate, Fate::k_unknown_destination);
  a_->active = false;
  EXPECT_EQ(Wire(Udp4(kPeer, M(1), "10.1.0.9", "10.1.0.1", 1, 2)).fate, Fate::k_unknown_destination);
}

TEST_F(RoutingTest, WireToSharedByLease) {
  EXPECT_EQ(Wire(Udp4(kPeer, kNic, "10.1.0.9", kShared4, 1, 53)).guest, s_);
  EXPECT_EQ(Wire(Udp4(kPeer, kNic, "10.1.0.9", kShared4, 1, 54)).guest, t_);
  EXPECT_EQ(Wire(Udp4(kPeer, kNic, "10.1.0.9", kShared4, 1, 55)).fate, Fate::k_unknown_destination);
  EXPECT_EQ(Wire(V6(kPeer, kNic, "fd00::9", kShared6, kTcp, Tcp(1, 80))).guest, s_);
  EXPECT_EQ(Wire(V6(kPeer, kNic, "fe80::9", "fe80::ff:fe00:ff", kUdp, Udp(1, 54))).guest, t_) << "link-local";
  Bytes icmp = Ethernet(kPeer, kNic, kEtherIpv4);
  EXPECT_EQ(Wire(icmp + Ipv4(A("10.1.0.9"), A(kShared4), Icmp(8), {.protocol = kIcmp})).local,
            Local::kRespond);
  EXPECT_EQ(Wire(icmp + Ipv4(A("10.1.0.9"), A(kShared4), Icmp(0), {.protocol = kIcmp})).fate,
            Fate::k_unsupported);
  EXPECT_EQ(Wire(icmp + Ipv4(A("10.1.0.9"), A(kShared4), Bytes(8), {.protocol = 47})).fate,
            Fate::k_unsupported);
}

TEST_F(RoutingTest, IcmpErrorsGoToWhomTheyConcern) {
  auto error = [&](std::string_view source, uint16_t port) {
    return Wire(Ethernet(kPeer, kNic, kEtherIpv4) +
                Ipv4(A("10.1.0.9"), A(kShared4), Icmp(3, Ipv4(A(source), A("10.1.0.9"), Udp(port, 9))),
                     {.protocol = kIcmp}));
  };
  EXPECT_EQ(error(kShared4, 54).guest, t_);
  EXPECT_EQ(error(kShared4, 55).fate, Fate::k_unknown_destination);
  EXPECT_EQ(error("10.1.0.1", 54).fate, Fate::k_unsupported);
  auto error6 = [&](uint8_t type, uint16_t port) {
    const Bytes quoted = Ipv6(A(kShared6), A("fd00::9"), kUdp, Udp(port, 9));
    return V6(kPeer, kNic, "fd00::9", kShared6, kIcmp6, Icmp(type, quoted));
  };
  for (uint8_t type : {1, 2, 3, 4}) {
    EXPECT_EQ(Wire(error6(type, 53)).guest, s_) << int{type};
    EXPECT_EQ(Wire(error6(type, 54)).guest, t_) << int{type};
  }
  EXPECT_EQ(Wire(error6(1, 55)).fate, Fate::k_unknown_destination);
}

TEST_F(RoutingTest, AnotherGuestsIcmpErrorGoesToTheSharerThatItQuotes) {
  const Bytes quoted = Ipv4(A(kShared4), A("10.1.0.1"), Udp(54, 9));
  EXPECT_EQ(From(a_, Ethernet(M(1), kNic, kEtherIpv4) +
                         Ipv4(A("10.1.0.1"), A(kShared4), Icmp(3, quoted), {.protocol = kIcmp}))
                .guest,
            t_);
}

TEST_F(RoutingTest, FragmentsFollowTheirFirst) {
  auto fragment = [&](uint16_t id, uint16_t offset) {
    return Ethernet(kPeer, kNic, kEtherIpv4) + Ipv4(A("10.1.0.9"), A(kShared4),
                                                    offset ? Bytes(16) : Udp(1, 54, 8),
                                                    {.id = id, .offset = offset, .more = offset == 0});
  };
  EXPECT_EQ(Wire(fragment(1, 16)).local, Local::kHold);
  Verdict first = Wire(fragment(1, 0));
  EXPECT_EQ(first.guest, t_);
  EXPECT_TRUE(first.new_datagram);
  EXPECT_EQ(Wire(fragment(1, 16)).guest, t_);
  EXPECT_EQ(Wire(fragment(2, 16)).local, Local::kHold);
  now_ += FragmentTable::kTimeout;
  EXPECT_EQ(Wire(fragment(1, 16)).local, Local::kHold);
}

TEST_F(RoutingTest, ArpAndSolicitationsFromTheWire) {
  EXPECT_EQ(Wire(Arp(kArpRequest, kPeer, A("10.1.0.9"), A("10.1.0.2"))).guest, b_);
  EXPECT_EQ(Wire(Arp(kArpRequest, kPeer, A("10.1.0.9"), A(kShared4))).local, Local::kRespond);
  EXPECT_EQ(Wire(Arp(kArpRequest, kPeer, A("10.1.0.9"), A("10.1.0.77"))).fate, Fate::k_unknown_destination);
  EXPECT_EQ(Wire(Arp(kArpRequest, kPeer, A("10.1.0.9"), A("10.1.0.9"))).local, Local::kFlood)
      << "announcement";
  EXPECT_EQ(Wire(Arp(kArpReply, kPeer, A("10.1.0.9"), A(kShared4), kNic)).local, Local::kAllShared);
  EXPECT_EQ(Wire(Arp(kArpReply, kPeer, A("10.1.0.9"), A("10.1.0.1"), M(1))).guest, a_);
  MacAddress peer = kPeer, group = {0x33, 0x33, 0xff, 0, 0, 2};
  auto ns = [&](std::string_view target) {
    return Wire(V6(kPeer, group, "fd00::9", "ff02::1:ff00:2", kIcmp6, Nd(135, A(target), &peer), 255));
  };
  EXPECT_EQ(ns("fd00::2").guest, b_);
  EXPECT_EQ(ns("fe80::ff:fe00:2").guest, b_);
  EXPECT_EQ(ns(kShared6).local, Local::kRespond);
  EXPECT_EQ(ns("fd00::77").fate, Fate::k_unknown_destination);
  EXPECT_EQ(Wire(V6(kPeer, kNic, "fd00::9", kShared6, kIcmp6, Nd(136, A("fd00::9"), &peer, 2), 255)).local,
            Local::kAllShared);
}

TEST_F(RoutingTest, GuestToGuestAndWire) {
  Verdict v = From(a_, Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, 2));
  EXPECT_EQ(v.guest, b_);
  EXPECT_FALSE(v.wire);
  EXPECT_TRUE(From(a_, Udp4(M(1), kPeer, "10.1.0.1", "10.1.0.9", 1, 2)).wire);
  EXPECT_EQ(From(a_, Udp4(M(1), M(1), "10.1.0.1", "10.1.0.1", 1, 2)).fate, Fate::k_unknown_destination);
  EXPECT_EQ(From(a_, Udp4(M(1), kNic, "10.1.0.1", kShared4, 1, 53)).guest, s_);
  EXPECT_EQ(From(t_, Udp4(kNic, kNic, kShared4, kShared4, 54, 53)).guest, s_) << "between sharers";
  EXPECT_EQ(From(s_, Udp4(kNic, M(2), kShared4, "10.1.0.2", 53, 1)).guest, b_);
  v = From(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.2")));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.guest, b_);
  EXPECT_EQ(From(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A(kShared4))).local, Local::kRespond);
  v = From(s_, Arp(kArpRequest, kNic, A("0.0.0.0"), A(kShared4)));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kNone) << "a sharer's probe is not answered by its own server";
  v = From(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.1")));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kFlood);
}

// Or the chatter of n guests costs n * n deliveries.
TEST_F(RoutingTest, OnlyWhatConcernsAllGuestsGoesToAll) {
  MacAddress group = {0x33, 0x33, 0, 0, 0, 2};
  auto icmp = [&](uint8_t type) {
    return V6(M(1), group, "fe80::ff:fe00:1", "ff02::2", kIcmp6, Icmp(type), 255);
  };
  for (uint8_t type : {kRouterSolicitation, kListenerReport, kListenerDone, kListenerReport2}) {
    Verdict v = From(a_, icmp(type));
    EXPECT_TRUE(v.wire) << int{type};
    EXPECT_EQ(v.local, Local::kNone) << int{type};
    EXPECT_EQ(Wire(icmp(type)).fate, Fate::k_unknown_destination) << int{type};
  }
  constexpr uint8_t kListenerQuery = 130;
  EXPECT_EQ(Wire(icmp(kListenerQuery)).local, Local::kFlood) << "guests answer it";
  Verdict v = From(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.77")));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kNone) << "asks for an address that no guest has";
  v = From(a_, Arp(kArpRequest, M(1), A("0.0.0.0"), A("10.1.0.1")));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kNone) << "probes its own address";
}

TEST_F(RoutingTest, GuestInDirectModeIsOnTheWire) {
  b_->mode = channel::DeclaredMode::kDirect;
  Verdict v = From(a_, Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, 2));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kNone);
  v = From(a_, Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.2")));
  EXPECT_TRUE(v.wire);
  EXPECT_EQ(v.local, Local::kNone);
  EXPECT_EQ(Wire(Udp4(kPeer, M(2), "10.1.0.9", "10.1.0.2", 1, 2)).guest, b_)
      << "what was sent before it moved";
}

// ---- Responder ----

TEST_F(RoutingTest, AnswersArp) {
  Bytes frame = Arp(kArpRequest, kPeer, A("10.1.0.9"), A(kShared4));
  Packet request = Read(frame);
  ASSERT_EQ(Respond(request, kNic, frame, static_cast<uint32_t>(frame.size())), 42u);
  EXPECT_EQ(frame, Arp(kArpReply, kNic, A(kShared4), A("10.1.0.9"), kPeer));
}

TEST_F(RoutingTest, AnswersSolicitation) {
  MacAddress peer = kPeer;
  for (std::string_view source : {"fd00::9", "::"}) {
    Bytes frame = V6(kPeer, {0x33, 0x33, 0xff, 0, 1, 0}, source, "ff02::1:ff00:100", kIcmp6,
                     Nd(135, A(kShared6), source == "::" ? nullptr : &peer), 255);
    Packet request = Read(frame);
    uint32_t length = static_cast<uint32_t>(frame.size());
    frame.resize(200);
    ASSERT_EQ(Respond(request, kNic, frame, length), 86u);
    frame.resize(86);
    Packet answer = Read(frame);
    EXPECT_EQ(answer.icmp_type, kNeighbourAdvertisement);
    EXPECT_EQ(answer.nd_target, A(kShared6));
    EXPECT_EQ(answer.link_address, kNic);
    EXPECT_EQ(answer.source, A(kShared6));
    EXPECT_EQ(answer.destination, source == "::" ? A("ff02::1") : A(source));
    EXPECT_EQ(static_cast<uint8_t>(frame[58]), source == "::" ? 0x20 : 0x60);
    EXPECT_EQ(FoldedSum(&frame[22], 32 + 32, 32 + kIcmp6), 0xffffu);
  }
}

TEST_F(RoutingTest, AnswersEcho) {
  Bytes payload = Icmp(8, Bytes(33, std::byte{0xa7}));
  uint32_t sum = 0xffff & ~FoldedSum(payload.data(), payload.size());
  payload[2] = static_cast<std::byte>(sum >> 8);
  payload[3] = static_cast<std::byte>(sum);
  Bytes frame =
      Ethernet(kPeer, kNic, kEtherIpv4) + Ipv4(A("10.1.0.9"), A(kShared4), payload, {.protocol = kIcmp});
  Packet request = Read(frame);
  ASSERT_EQ(Respond(request, kNic, frame, static_cast<uint32_t>(frame.size())), frame.size());
  Packet answer = Read(frame);
  EXPECT_EQ(answer.icmp_type, kEchoReply4);
  EXPECT_EQ(answer.source, A(kShared4));
  EXPECT_EQ(answer.destination, A("10.1.0.9"));
  EXPECT_EQ(answer.destination_mac, kPeer);
  EXPECT_EQ(FoldedSum(&frame[14], 20), 0xffffu);
  EXPECT_EQ(FoldedSum(&frame[34], payload.size()), 0xffffu);

  Bytes echo6 = Icmp(128, Bytes(8, std::byte{0x31}));
  Bytes frame6 = V6(kPeer, kNic, "fd00::9", kShared6, kIcmp6, echo6);
  sum = 0xffff & ~FoldedSum(&frame6[22], 32 + 16, 16 + kIcmp6);
  frame6[56] = static_cast<std::byte>(sum >> 8);
  frame6[57] = static_cast<std::byte>(sum);
  request = Read(frame6);
  ASSERT_EQ(Respond(request, kNic, frame6, static_cast<uint32_t>(frame6.size())), frame6.size());
  EXPECT_EQ(Read(frame6).icmp_type, kEchoReply6);
  EXPECT_EQ(FoldedSum(&frame6[22], 32 + 16, 16 + kIcmp6), 0xffffu);
}

TEST_F(RoutingTest, AnswersNothingElse) {
  Bytes options = Ethernet(kPeer, kNic, kEtherIpv4) +
                  Ipv4(A("10.1.0.9"), A(kShared4), Icmp(8), {.protocol = kIcmp, .options = 4});
  EXPECT_EQ(Respond(Read(options), kNic, options, static_cast<uint32_t>(options.size())), 0u);
  Bytes udp = Udp4(kPeer, kNic, "10.1.0.9", kShared4, 1, 53);
  EXPECT_EQ(Respond(Read(udp), kNic, udp, static_cast<uint32_t>(udp.size())), 0u);
}

}  // namespace
}  // namespace librettos::netserver
