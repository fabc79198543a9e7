// The whole server: roles, forwarding, leases, what hostile guests do to it, and hand-over.
#include <gtest/gtest.h>

#include <algorithm>

#include "netserver/server_fixture.h"

namespace librettos::netserver {
namespace {

TEST_F(ServerTest, FramesThereAndBack) {
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  EXPECT_EQ(a.epoch, 1u);
  a.Send(Out(1));
  nic_.Inject(In(1));
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, Out(1));
  std::vector<Bytes> got = a.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], In(1));
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerTest, PublishesItsState) {
  EXPECT_EQ(Read(kServer, "data/ready"), "1");
  AddDedicated(1);
  server_->Step();
  EXPECT_EQ(Read(kServer, "data/ready"), "1");
  Run();
  EXPECT_EQ(Read(kServer, "data/ready"), "2");
  EXPECT_EQ(Read(kServer, "backend/vif/1/0/state"), "4");
  EXPECT_NE(Read(kServer, "data/statistics"), "-");
  EXPECT_EQ(Read(kServer, "data/role"), "-");
  Activate(kServer, 3);
  EXPECT_EQ(Read(kServer, "data/role"), "active 3");
  EXPECT_EQ(Read(kServer, "data/healthy"), "3");
}

// Or it could veto its neighbours' upgrades.
TEST_F(ServerTest, NobodyWaitsForAGuestThatIsRefused) {
  AddDedicated(1);
  Introduce(2, kServer, "02:00:00:00:00:02 dedicated 10.1.0.2/24");
  Run();
  EXPECT_EQ(Read(kServer, "data/ready"), "1");
  world_.Write(Path(2, "device/vif/0/frontend/100/ring"), "nonsense");
  Run();
  EXPECT_EQ(Read(kServer, "backend/vif/2/0/state"), "6");
  EXPECT_EQ(Read(kServer, "data/ready"), "2");
}

TEST_F(ServerTest, RoleAndNicInEitherOrder) {
  world_.Write(Path(kServer, "control/role"), "active 1");
  Run();
  EXPECT_EQ(Read(kServer, "data/role"), "-");
  GiveNic(kServer);
  Run();
  EXPECT_EQ(Read(kServer, "data/role"), "active 1");
}

TEST_F(ServerTest, ItsNicReceivesForAllItsGuests) {
  GiveNic(kServer);
  Run();
  EXPECT_TRUE(nic_.promiscuous());
}

TEST_F(ServerTest, ActivatesOnceItsNicIsOpen) {
  fake::SetOpeningSteps(10);
  Activate(kServer, 1);
  EXPECT_EQ(Read(kServer, "data/role"), "active 1") << "within 20 steps";
  fake::SetOpeningSteps(0);
}

TEST_F(ServerTest, ItsHeartGoesOnWhileItsNicIsBeingOpened) {
  struct Page final : MapObserver {
    void OnMapped(Result<Mapping*> mapped) override { mapping = mapped.value(); }
    uint64_t heartbeat() const {
      return reinterpret_cast<StatisticsHeader*>(mapping->bytes().data())->heartbeat.load();
    }
    Mapping* mapping = nullptr;
  } page;
  world_.AddDomain(kControlDomain)
      ->Map(kServer, static_cast<GrantRef>(std::stoul(Read(kServer, "data/statistics"))),
            sizeof(StatisticsHeader), false, &page);
  world_.RunUntilIdle();
  ASSERT_NE(page.mapping, nullptr);
  fake::SetOpeningSteps(UINT64_MAX);
  GiveNic(kServer);
  Run(1);
  const uint64_t before = page.heartbeat();
  Run(5);
  EXPECT_EQ(fake::OpenNics(), 1) << "it is still being opened";
  EXPECT_GE(page.heartbeat(), before + 5);
  fake::SetOpeningSteps(0);
}

TEST_F(ServerTest, ANicThatIsBeingOpenedIsReturnedWhenTheServerIsToStop) {
  fake::SetOpeningSteps(UINT64_MAX);
  Activate(kServer, 1);
  EXPECT_EQ(Read(kServer, "data/role"), "-");
  world_.Write(Path(kServer, "control/role"), "quiesced 1");
  Run();
  EXPECT_EQ(Read(kServer, "data/role"), "quiesced 1");
  EXPECT_FALSE(world_.HoldsDevice(kServer, "nic0"));
  EXPECT_EQ(fake::OpenNics(), 0);
  fake::SetOpeningSteps(0);
}

TEST_F(ServerTest, NicThatCannotBeOpenedIsReturned) {
  fake::RegisterNic("nic0", nullptr);
  Activate(kServer, 1);
  EXPECT_EQ(Read(kServer, "data/role"), "failed nic nic0: unavailable");
  EXPECT_FALSE(world_.HoldsDevice(kServer, "nic0"));
}

TEST_F(ServerTest, StandbyTouchesNothing) {
  TestGuest& a = AddDedicated(1);
  Run();
  a.Send(Out(1));
  Run();
  EXPECT_FALSE(a.Drained());
  EXPECT_EQ(a.epoch, 0u);
  // What was there at activation is forwarded.
  Activate(kServer, 1);
  EXPECT_EQ(nic_.sent().size(), 1u);
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerTest, GuestsThatConnectLater) {
  Activate(kServer, 1);
  TestGuest& a = AddDedicated(1);
  Run();
  a.Send(Out(1));
  Run();
  EXPECT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(a.epoch, 1u);
}

TEST_F(ServerTest, GuestToGuestNeverSeesTheWire) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  Bytes frame = Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, 2, 5000);
  Offload offload{.needs_checksum = true, .checksum_start = 34, .checksum_offset = 6};
  a.Send(frame, offload);
  Run();
  EXPECT_TRUE(nic_.sent().empty());
  std::vector<Bytes> got = b.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], frame);
  EXPECT_EQ(b.offloads[0], offload);
}

TEST_F(ServerTest, LargeSegmentsPassBothWays) {
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  Offload offload{.needs_checksum = true,
                  .segmentation = Segmentation::kTcp4,
                  .segment_bytes = 1460,
                  .header_bytes = 54,
                  .checksum_start = 34,
                  .checksum_offset = 16};
  Bytes out = Ethernet(M(1), kPeer, kEtherIpv4) +
              Ipv4(A("10.1.0.1"), A("10.1.0.200"), Tcp(1, 2, 60000), {.protocol = kTcp});
  Bytes in = Ethernet(kPeer, M(1), kEtherIpv4) +
             Ipv4(A("10.1.0.200"), A("10.1.0.1"), Tcp(2, 1, 60000), {.protocol = kTcp});
  a.Send(out, offload);
  nic_.Inject(in, offload);
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, out);
  EXPECT_EQ(nic_.sent()[0].offload, offload);
  std::vector<Bytes> got = a.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], in);
  EXPECT_EQ(a.offloads[0], offload);
}

TEST_F(ServerTest, ANicThatTakesOnlyAPartLosesAndDoublesNothing) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  nic_.SetRoom(3);
  for (uint16_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(a.Put(Out(1, i)).ok());
    // Between those for the wire: what is delivered at once must not be delivered twice.
    ASSERT_TRUE(a.Put(Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, i)).ok());
  }
  a.Publish();
  Run(5);
  EXPECT_EQ(nic_.sent().size(), 3u);
  EXPECT_FALSE(a.Drained());
  for (int i = 0; i < 20; ++i) {
    nic_.SetRoom(1);
    Run(4);
  }
  ASSERT_EQ(nic_.sent().size(), 20u);
  std::vector<Bytes> got = b.Take();
  ASSERT_EQ(got.size(), 20u);
  for (uint16_t i = 0; i < 20; ++i) {
    EXPECT_EQ(nic_.sent()[i].bytes, Out(1, i));
    EXPECT_EQ(got[i], Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, i));
  }
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerTest, AFullRingDropsOnlyItsOwn) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  for (int i = 0; i < 100; ++i) nic_.Inject(In(1));
  for (int i = 0; i < 10; ++i) nic_.Inject(In(2));
  Run();
  EXPECT_EQ(a.Take().size(), 64u);
  EXPECT_EQ(b.Take().size(), 10u);
  nic_.Inject(In(1));
  Run();
  EXPECT_EQ(a.Take().size(), 1u);
}

TEST_F(ServerTest, NoGuestStarvesAnother) {
  TestGuest& a = AddDedicated(1, 1024);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  nic_.sent().clear();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(a.Put(Out(1)).ok());
  a.Publish();
  b.Send(Out(2));
  Run(2);
  bool found = false;
  for (auto& frame : nic_.sent()) found |= frame.bytes == Out(2);
  EXPECT_TRUE(found) << "after two turns";
  EXPECT_LE(nic_.sent().size(), 2 * Forwarder::kSharedFrameBudget + 1);
}

TEST_F(ServerTest, SilentGuestsAreToldOfTheActivationAFewInEachTurn) {
  constexpr DomainId kCount = 2 * Server::kGreetings + 1;
  for (uint8_t id = 1; id <= kCount; ++id) AddDedicated(id);
  Run();
  GiveNic(kServer);
  world_.Write(Path(kServer, "control/role"), "active 7");
  auto told = [&] {
    return std::count_if(guests_.begin(), guests_.end(), [](const auto& guest) { return guest->epoch == 7; });
  };
  int most = 0;
  for (int64_t before = 0; before < kCount && most < 100; ++most) {
    Run(1);
    world_.RunUntilIdle();
    EXPECT_LE(told() - before, Server::kGreetings);
    before = told();
  }
  EXPECT_EQ(told(), kCount);
}

TEST_F(ServerTest, SpoofedFramesGoNowhere) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  a.Send(Udp4(M(1), M(2), "10.1.0.3", "10.1.0.2", 1, 2));
  a.Send(Udp4(M(2), kPeer, "10.1.0.1", "10.1.0.200", 1, 2));
  a.Send(Out(1));
  Run();
  EXPECT_TRUE(b.Take().empty());
  EXPECT_EQ(nic_.sent().size(), 1u);
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerTest, BroadcastReachesAllOthers) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  TestGuest& c = AddDedicated(3);
  Activate(kServer, 1);
  a.Send(Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.1")));
  Run();
  EXPECT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(a.Take().size(), 0u);
  EXPECT_EQ(b.Take().size(), 1u);
  EXPECT_EQ(c.Take().size(), 1u);
}

TEST_F(ServerTest, AnswersForTheSharedAddress) {
  TestGuest& a = AddDedicated(1);
  TestGuest& s = AddShared(3);
  Activate(kServer, 1);
  nic_.Inject(Arp(kArpRequest, kPeer, A("10.1.0.200"), A("10.1.0.100")));
  a.Send(Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.100")));
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, Arp(kArpReply, kNic, A("10.1.0.100"), A("10.1.0.200"), kPeer));
  std::vector<Bytes> got = a.Take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], Arp(kArpReply, kNic, A("10.1.0.100"), A("10.1.0.1"), M(1)));
  EXPECT_TRUE(s.Take().empty());
}

TEST_F(ServerTest, LeasesDecideWhoGetsAPort) {
  TestGuest& s = AddShared(3);
  TestGuest& t = AddShared(4);
  Activate(kServer, 1);
  s.Tell(ControlType::kLeaseRequest, kUdp, 53);
  Run();
  t.Tell(ControlType::kLeaseRequest, kUdp, 53);
  t.Tell(ControlType::kLeaseRequest, kUdp, 0, 2);
  Run();
  s.Take();
  t.Take();
  ASSERT_EQ(s.replies.size(), 1u);
  EXPECT_EQ(s.replies[0].status, 0);
  ASSERT_EQ(t.replies.size(), 2u);
  EXPECT_EQ(t.replies[0].status, static_cast<uint16_t>(LeaseStatus::kInUse));
  EXPECT_EQ(t.replies[1].status, 0);
  EXPECT_GE(t.replies[1].port, kFirstEphemeralPort);
  nic_.Inject(Udp4(kPeer, kNic, "10.1.0.200", "10.1.0.100", 9, 53));
  Run();
  EXPECT_EQ(s.Take().size(), 1u);
  EXPECT_TRUE(t.Take().empty());
  s.Send(Udp4(kNic, kPeer, "10.1.0.100", "10.1.0.200", 53, 9));
  t.Send(Udp4(kNic, kPeer, "10.1.0.100", "10.1.0.200", 53, 9));
  Run();
  EXPECT_EQ(nic_.sent().size(), 1u);
  // Free again after release, and after death.
  s.Tell(ControlType::kLeaseRelease, kUdp, 53);
  Run();
  t.Tell(ControlType::kLeaseRequest, kUdp, 53, 3);
  Run();
  t.Take();
  EXPECT_EQ(t.replies.back().status, 0);
  world_.KillDomain(4);
  world_.Remove(Path(kServer, "backend/vif/4"));
  Run();
  s.Tell(ControlType::kLeaseRequest, kUdp, 53, 4);
  Run();
  s.Take();
  EXPECT_EQ(s.replies.back().status, 0);
}

TEST_F(ServerTest, AReplyWaitsForRoom) {
  TestGuest& s = AddShared(3);
  Activate(kServer, 1);
  for (int i = 0; i < 64; ++i) nic_.Inject(Arp(kArpReply, kPeer, A("10.1.0.200"), A("10.1.0.100"), kNic));
  Run();
  s.Tell(ControlType::kLeaseRequest, kTcp, 80);
  Run();
  EXPECT_FALSE(s.Drained());
  EXPECT_EQ(s.Take().size(), 64u);
  Run();
  s.Take();
  ASSERT_EQ(s.replies.size(), 1u);
  EXPECT_EQ(s.replies[0].status, 0);
  EXPECT_TRUE(s.Drained());
}

TEST_F(ServerTest, SuccessorReplaysAndKeepsLeases) {
  TestGuest& a = AddDedicated(1);
  TestGuest& s = AddShared(3);
  Activate(kServer, 1);
  s.Tell(ControlType::kLeaseRequest, kTcp, 80);
  Run();
  s.Take();
  ASSERT_EQ(s.replies.size(), 1u);
  EXPECT_TRUE(s.end().DeclareLease(kTcp, 80, s.replies[0].sequence, s.replies[0].token).ok());
  second_ = Start(101);
  Introduce(1, 101, "02:00:00:00:00:01 dedicated 10.1.0.1/24");
  Introduce(3, 101, "02:00:00:00:00:ff shared 10.1.0.100/24");
  Run();
  EXPECT_EQ(Read(101, "data/ready"), "2");
  // The first one dies with a frame in the ring.
  nic_.SetRoom(0);
  a.Send(Out(1));
  Run();
  server_.reset();
  world_.KillDomain(kServer);
  nic_.SetRoom(100);
  Activate(101, 2);
  EXPECT_EQ(a.epoch, 2u);
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, Out(1));
  nic_.Inject(Ethernet(kPeer, kNic, kEtherIpv4) +
              Ipv4(A("10.1.0.200"), A("10.1.0.100"), Tcp(9, 80), {.protocol = kTcp}));
  Run();
  EXPECT_EQ(s.Take().size(), 1u);
}

TEST_F(ServerTest, NewLeasesWaitForFormerHolders) {
  TestGuest& s = AddShared(3);
  Introduce(4, kServer, "02:00:00:00:00:ff shared 10.1.0.100/24");  // Never connects.
  Activate(kServer, 1);
  s.Tell(ControlType::kLeaseRequest, kTcp, 80);
  Run();
  s.Take();
  EXPECT_TRUE(s.replies.empty());
  fake::AdvanceClock(Server::kReclaimPeriod);
  Run();
  s.Take();
  ASSERT_EQ(s.replies.size(), 1u);
}

TEST_F(ServerTest, QuiesceAndBack) {
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  world_.Write(Path(kServer, "control/role"), "quiesced 1");
  Run();
  EXPECT_EQ(Read(kServer, "data/role"), "quiesced 1");
  EXPECT_FALSE(world_.HoldsDevice(kServer, "nic0"));
  EXPECT_EQ(fake::OpenNics(), 0);
  a.Send(Out(1));
  Run();
  EXPECT_TRUE(nic_.sent().empty());
  Activate(kServer, 1);
  EXPECT_TRUE(nic_.sent().empty()) << "an epoch that is over";
  world_.Write(Path(kServer, "control/role"), "active 3");
  Run();
  EXPECT_EQ(Read(kServer, "data/role"), "active 3");
  EXPECT_EQ(Read(kServer, "data/healthy"), "3");
  EXPECT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(a.epoch, 3u);
}

TEST_F(ServerTest, ANicOfItsOwnIsSilentUntilActivationAndThenAnnounced) {
  world_.Write(Path(kServer, "control/announce"), "1");
  TestGuest& a = AddDedicated(1);
  TestGuest& s = AddShared(3);
  GiveNic(kServer);
  nic_.Inject(In(1));
  a.Send(Out(1));
  Run();
  EXPECT_TRUE(nic_.sent().empty());
  nic_.Inject(In(1));
  world_.Write(Path(kServer, "control/role"), "active 1");
  Run();
  EXPECT_TRUE(a.Take().empty()) << "its predecessor forwarded that";
  EXPECT_TRUE(s.Take().empty());
  const auto sent = [&](const Bytes& frame) {
    return std::count_if(nic_.sent().begin(), nic_.sent().end(), [&](auto& f) { return f.bytes == frame; });
  };
  EXPECT_EQ(sent(Out(1)), 1) << "what the guest had sent is forwarded";
  EXPECT_EQ(sent(Arp(kArpRequest, kNic, A("10.1.0.100"), A("10.1.0.100"))), 1);
  EXPECT_EQ(sent(Arp(kArpRequest, M(1), A("10.1.0.1"), A("10.1.0.1"))), 1);
  // Both IPv6 addresses, and the guest's link-local one.
  int advertisements = 0;
  for (auto& frame : nic_.sent()) {
    Packet packet;
    ASSERT_EQ(Parse(frame.bytes, static_cast<uint32_t>(frame.bytes.size()), packet), Parsed::kOk);
    if (!packet.has_icmp || packet.icmp_type != kNeighbourAdvertisement) continue;
    ++advertisements;
    const MacAddress mac = packet.nd_target == A("fd00::100") ? kNic : M(1);
    EXPECT_TRUE(packet.nd_target == A("fd00::100") || packet.nd_target == A("fd00::1") ||
                packet.nd_target == LinkLocal(M(1)));
    EXPECT_EQ(packet.source_mac, mac);
    EXPECT_EQ(packet.link_address, mac);
  }
  EXPECT_EQ(advertisements, 3);
  nic_.Inject(In(1));
  Run();
  EXPECT_EQ(a.Take().size(), 1u);
}

TEST_F(ServerTest, ANicThatWasItsPredecessorsLosesNothing) {
  TestGuest& a = AddDedicated(1);
  GiveNic(kServer);
  nic_.Inject(In(1));
  Run();
  world_.Write(Path(kServer, "control/role"), "active 1");
  Run();
  EXPECT_EQ(a.Take().size(), 1u);
  EXPECT_TRUE(nic_.sent().empty()) << "nothing to announce";
}

TEST_F(ServerTest, AnnouncementsWaitForTheNic) {
  world_.Write(Path(kServer, "control/announce"), "1");
  for (uint8_t id = 1; id <= 9; ++id) AddDedicated(id);
  Run();
  nic_.SetRoom(5);
  Activate(kServer, 1);
  EXPECT_EQ(nic_.sent().size(), 5u);
  nic_.SetRoom(1000);
  Run();
  EXPECT_EQ(nic_.sent().size(),
            2u + 9 * 3);  // Two shared addresses; each guest has two and a link-local one.
}

TEST_F(ServerTest, AGuestThatConnectsLaterIsAnnounced) {
  world_.Write(Path(kServer, "control/announce"), "1");
  Activate(kServer, 1);
  nic_.sent().clear();
  AddDedicated(2);
  Run();
  EXPECT_EQ(nic_.sent().size(), 3u);
}

TEST_F(ServerTest, AHostileGuestIsCutOffAlone) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  a.Tell(ControlType::kLeaseReply, kTcp, 80);  // For servers only.
  b.Send(Out(2));
  Run();
  EXPECT_EQ(Read(kServer, "backend/vif/1/0/state"), "6");
  EXPECT_EQ(Read(kServer, "backend/vif/1/0/error"), "bad-control");
  EXPECT_EQ(nic_.sent().size(), 1u);
  nic_.Inject(In(1));
  nic_.Inject(In(2));
  Run();
  EXPECT_TRUE(a.Take().empty());
  EXPECT_EQ(b.Take().size(), 1u);
}

TEST_F(ServerTest, DirectModeSendsToTheWire) {
  TestGuest& a = AddDedicated(1);
  TestGuest& b = AddDedicated(2);
  Activate(kServer, 1);
  b.end().DeclareMode(channel::DeclaredMode::kDirect);
  b.Tell(ControlType::kModeChanged, 0, 0, 1, 1);
  Run();
  Bytes frame = Udp4(M(1), M(2), "10.1.0.1", "10.1.0.2", 1, 2);
  a.Send(frame);
  nic_.Inject(In(2));
  Run();
  ASSERT_EQ(nic_.sent().size(), 1u);
  EXPECT_EQ(nic_.sent()[0].bytes, frame);
  EXPECT_EQ(b.Take().size(), 1u) << "what the wire still brings here";
  b.end().DeclareMode(channel::DeclaredMode::kServer);
  b.Tell(ControlType::kModeChanged, 0, 0, 2, 0);
  Run();
  a.Send(frame);
  Run();
  EXPECT_EQ(b.Take().size(), 1u);
}

TEST_F(ServerTest, FragmentsBeforeTheirFirst) {
  TestGuest& s = AddShared(3);
  Activate(kServer, 1);
  s.Tell(ControlType::kLeaseRequest, kUdp, 53);
  Run();
  Bytes ethernet = Ethernet(kPeer, kNic, kEtherIpv4);
  Bytes second = ethernet + Ipv4(A("10.1.0.200"), A("10.1.0.100"), Bytes(16), {.offset = 16});
  Bytes first = ethernet + Ipv4(A("10.1.0.200"), A("10.1.0.100"), Udp(9, 53, 8), {.more = true});
  nic_.Inject(second);
  nic_.Inject(first);
  Run();
  std::vector<Bytes> got = s.Take();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0], first);
  EXPECT_EQ(got[1], second);
}

TEST_F(ServerTest, SilentGuestsAreArmedAndWakeIt) {
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  Run();  // Long enough to arm.
  ASSERT_TRUE(a.Put(Out(1)).ok());
  EXPECT_TRUE(a.end().transmit(0).Publish()) << "the server wants an event";
  a.end().Signal(0);
  Run();
  EXPECT_EQ(nic_.sent().size(), 1u);
}

TEST_F(ServerTest, UnhealthyServerTakesTheRoleAndNothingElse) {
  server_ = nullptr;
  second_ = Start(101, Behaviour::kNeverHealthy);
  guests_.push_back(std::make_unique<TestGuest>(world_, 1));
  Introduce(1, 101, "02:00:00:00:00:01 dedicated 10.1.0.1/24");
  Activate(101, 1);
  EXPECT_EQ(Read(101, "data/role"), "active 1");
  EXPECT_EQ(Read(101, "data/healthy"), "-");
  guests_[0]->Send(Out(1));
  Run();
  EXPECT_TRUE(nic_.sent().empty());
  EXPECT_FALSE(guests_[0]->Drained());
}

}  // namespace
}  // namespace librettos::netserver
