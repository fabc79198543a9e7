// Both ends of a channel over the fake platform: keys in any order, changing and going, successors,
// hostility.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "guest/channel/channel_fixture.h"

namespace librettos::channel {
namespace {

TEST_F(ChannelTest, ConnectsAndPublishesAsTheProtocolSays) {
  CreateGuest();
  Server server(world_, 2);
  world_.RunUntilIdle();
  EXPECT_EQ(server.state(), "2");
  EXPECT_EQ(guest_->active_server(), 0u);
  Name(world_, 2);
  world_.RunUntilIdle();
  EXPECT_TRUE(server.end->connected());
  EXPECT_FALSE(server.end->active());
  EXPECT_EQ(server.connections, 1);
  EXPECT_EQ(server.end->guest(), kGuest);
  EXPECT_EQ(server.end->geometry(), kGeometry);
  EXPECT_EQ(server.state(), "4");
  EXPECT_EQ(server.error(), "-");
  EXPECT_TRUE(world_.Read(Frontend(2) + "/ring")->ends_with(" 1 2 64 2048"));
  EXPECT_TRUE(world_.Read(Frontend(2) + "/event-0"));
  EXPECT_TRUE(world_.Read(Frontend(2) + "/event-1"));
  EXPECT_FALSE(world_.Read(Frontend(2) + "/event-2"));
  // Before it is active it touches no ring.
  EXPECT_FALSE(server.end->transmit(0).Peek(received_));
  EXPECT_EQ(server.end->receive(0).Space(1), 0u);
}

TEST_F(ChannelTest, ActivationIsToldOnce) {
  auto server = Connected(2, 5);
  EXPECT_TRUE(server->end->active());
  EXPECT_EQ(guest_->active_server(), 2u);
  EXPECT_EQ(guest_->server_epoch(), 5u);
  EXPECT_GE(observer_.events, 1);
  ASSERT_EQ(observer_.servers.size(), 1u);
  server->end->Signal(0);
  server->end->Signal(1);
  world_.RunUntilIdle();
  EXPECT_EQ(observer_.servers.size(), 1u);
  // The same server with another epoch is told again.
  EXPECT_EQ(server->end->Activate(6), Violation::kNone);
  server->end->Signal(0);
  world_.RunUntilIdle();
  ASSERT_EQ(observer_.servers.size(), 2u);
  EXPECT_EQ(observer_.servers[1], (std::pair<DomainId, uint32_t>(2, 6)));
}

// For a server of hundreds, to wake those up that have nothing to do would delay those that have.
TEST_F(ChannelTest, ActivationSignalsAGuestWithSomethingInItsRings) {
  auto server = Connected(2, 5);
  const int events = observer_.events;
  EXPECT_EQ(server->end->Activate(6), Violation::kNone);
  world_.RunUntilIdle();
  EXPECT_EQ(observer_.events, events) << "nothing sent, nothing to take";
  GuestSends(1, 100);
  EXPECT_EQ(server->end->Activate(7), Violation::kNone);
  world_.RunUntilIdle();
  EXPECT_EQ(observer_.events, events + 1) << "it may wait for room";
  ServerTakes(*server, 1, 100);
  ASSERT_TRUE(PutBytes(server->end->receive(0), Pattern(2, 100)).ok());
  if (server->end->receive(0).Publish()) server->end->Signal(0);
  world_.RunUntilIdle();
  const int before = observer_.events;
  EXPECT_EQ(server->end->Activate(8), Violation::kNone);
  world_.RunUntilIdle();
  EXPECT_EQ(observer_.events, before + 1) << "it may not have been told of what it got";
}

TEST_F(ChannelTest, ActivateBeforeConnectedIsRefusedAndHarmless) {
  CreateGuest();
  Server server(world_, 2);
  EXPECT_EQ(server.end->Activate(1), Violation::kBadHeader);
  Name(world_, 2);
  world_.RunUntilIdle();
  EXPECT_EQ(server.end->Activate(1), Violation::kNone);
}

TEST_F(ChannelTest, FramesGoBothWaysOnEveryPair) {
  auto server = Connected();
  for (uint32_t pair = 0; pair < 2; ++pair) {
    ASSERT_TRUE(server->end->transmit(pair).ArmEvent());
    GuestSends(pair, 9000, pair);
    world_.RunUntilIdle();
    EXPECT_EQ(server->events, static_cast<int>(pair) + 1);
    ServerTakes(*server, pair, 9000, true, pair);
    EXPECT_TRUE(guest_->transmit(pair).Drained());

    const int events = observer_.events;
    ASSERT_TRUE(guest_->receive(pair).ArmEvent());
    ASSERT_TRUE(PutBytes(server->end->receive(pair), Pattern(50 + pair, 1514)).ok());
    if (server->end->receive(pair).Publish()) server->end->Signal(pair);
    world_.RunUntilIdle();
    EXPECT_EQ(observer_.events, events + 1);
    ASSERT_TRUE(guest_->receive(pair).Peek(received_));
    EXPECT_EQ(BytesOf(received_), Pattern(50 + pair, 1514));
    EXPECT_FALSE(guest_->receive(pair).Commit(received_.entries));
  }
}

TEST_F(ChannelTest, ASuccessorLosesNothingAndRepeatsOnlyWhatWasUnderWay) {
  auto first = Connected(2, 5);
  Server second(world_, 3);
  Name(world_, 3);
  world_.RunUntilIdle();
  ASSERT_TRUE(second.end->connected());
  for (uint32_t i = 0; i < 6; ++i) GuestSends(i, 3000);
  ServerTakes(*first, 0, 3000);
  ServerTakes(*first, 1, 3000);
  ServerTakes(*first, 2, 3000, /*commit=*/false);  // Handed on; dies before the commit.
  world_.KillDomain(2);
  DieWithoutDestructors(first->end);
  GuestSends(6, 3000);  // Its doorbell is gone, which hurts nobody.
  EXPECT_EQ(second.end->Activate(6), Violation::kNone);
  Forget(world_, 2);
  world_.RunUntilIdle();
  EXPECT_EQ(guest_->active_server(), 3u);
  EXPECT_EQ(guest_->server_epoch(), 6u);
  EXPECT_EQ(observer_.servers.size(), 2u);
  EXPECT_FALSE(world_.Read(Frontend(2) + "/ring"));
  for (uint32_t i = 2; i < 7; ++i) ServerTakes(second, i, 3000);
  EXPECT_FALSE(second.end->transmit(0).Peek(received_));
  EXPECT_TRUE(guest_->transmit(0).Drained());
}

TEST_F(ChannelTest, HandOverAndBack) {
  auto first = Connected(2, 5);
  Server second(world_, 3);
  Name(world_, 3);
  world_.RunUntilIdle();
  GuestSends(1, 100);
  GuestSends(2, 100);
  ServerTakes(*first, 1, 100);
  first->end->Deactivate();
  EXPECT_FALSE(first->end->active());
  EXPECT_TRUE(first->end->connected());
  EXPECT_FALSE(first->end->transmit(0).Peek(received_));
  EXPECT_EQ(second.end->Activate(6), Violation::kNone);
  ServerTakes(second, 2, 100);
  second.end->Deactivate();
  EXPECT_EQ(first->end->Activate(7), Violation::kNone);
  GuestSends(3, 100);
  ServerTakes(*first, 3, 100);
  world_.RunUntilIdle();
  EXPECT_EQ(guest_->active_server(), 2u);
  EXPECT_EQ(guest_->server_epoch(), 7u);
}

TEST_F(ChannelTest, OnlyTheActiveServerIsSignalledAndAllWhileItIsUnknown) {
  CreateGuest();
  Server a(world_, 2), b(world_, 3);
  Name(world_, 2);
  Name(world_, 3);
  world_.RunUntilIdle();
  guest_->Signal(0);
  world_.RunUntilIdle();
  EXPECT_EQ(a.events, 1);
  EXPECT_EQ(b.events, 1);
  // Seen by Signal itself, before the guest got the activation's event; the observer is told by the event.
  ASSERT_EQ(b.end->Activate(1), Violation::kNone);
  b.end->Signal(0);
  guest_->Signal(1);
  EXPECT_EQ(guest_->active_server(), 3u);
  EXPECT_TRUE(observer_.servers.empty());
  world_.RunUntilIdle();
  EXPECT_EQ(a.events, 1);
  EXPECT_EQ(b.events, 2);
  EXPECT_EQ(observer_.servers.size(), 1u);
  guest_->Signal(2);  // No such pair.
  world_.RunUntilIdle();
  EXPECT_EQ(b.events, 2);
  Forget(world_, 3);
  world_.RunUntilIdle();
  EXPECT_EQ(guest_->active_server(), 0u);
  guest_->Signal(0);
  world_.RunUntilIdle();
  EXPECT_EQ(a.events, 2);
  EXPECT_FALSE(b.end->connected());
}

TEST_F(ChannelTest, TheGuestBelievesOnlyInServersThatItWasToldOf) {
  auto server = Connected(2, 5);
  Intruder intruder(world_, 2);
  intruder.header().server = 99;
  guest_->Signal(0);  // To all.
  world_.RunUntilIdle();
  EXPECT_EQ(guest_->active_server(), 0u);
  EXPECT_EQ(server->events, 1);
  EXPECT_EQ(observer_.servers.size(), 1u);
  // Geometry and magic are the guest's private matter.
  intruder.header().entries = 1u << 31;
  intruder.header().magic = 0;
  intruder.header().lease_count = ~0u;
  EXPECT_EQ(guest_->geometry(), kGeometry);
  GuestSends(1, 100);
}

TEST_F(ChannelTest, AViolationOfTheServerStaysInItsRing) {
  auto server = Connected(2, 5);
  Intruder intruder(world_, 2);
  ViewOf(intruder.memory, kGeometry, 0, true).control->producer.index = 1000;
  EXPECT_FALSE(guest_->receive(0).Peek(received_));
  EXPECT_EQ(guest_->receive(0).violation(), Violation::kIndexJump);
  GuestSends(1, 100);
  ServerTakes(*server, 1, 100);
}

TEST_F(ChannelTest, KeysMayComeInAnyOrder) {
  CreateGuest();
  Name(world_, 2);
  world_.RunUntilIdle();
  std::vector<std::pair<std::string, std::string>> keys;
  for (const char* name : {"/event-0", "/event-1", "/ring"})
    keys.push_back({name, *world_.Read(Frontend(2) + name)});
  std::sort(keys.begin(), keys.end());
  DomainId id = 2;
  do {
    // As told by the registry in this order.
    for (const auto& key : keys) world_.Remove(Frontend(2) + key.first);
    Server server(world_, id);
    for (const auto& key : keys) {
      EXPECT_FALSE(server.end->connected());
      world_.Write(Frontend(2) + key.first, key.second);
      world_.RunUntilIdle();
    }
    EXPECT_TRUE(server.end->connected());
    EXPECT_EQ(server.connections, 1);
    EXPECT_EQ(server.state(), "4");
    server.end.reset();
    EXPECT_EQ(server.platform->live_mappings(), 0u);
  } while (std::next_permutation(keys.begin(), keys.end()));
}

TEST_F(ChannelTest, AGuestThatGoesIsLetGoAndMayComeBack) {
  auto server = Connected(2, 5);
  guest_.reset();
  world_.RunUntilIdle();
  EXPECT_FALSE(server->end->connected());
  EXPECT_FALSE(server->end->active());
  EXPECT_EQ(server->state(), "2");
  EXPECT_EQ(server->platform->live_mappings(), 0u);
  EXPECT_EQ(server->platform->live_ports(), 0u);
  EXPECT_EQ(platform_->live_ports(), 0u);
  EXPECT_EQ(platform_->live_regions(), 0u);
  EXPECT_FALSE(server->end->transmit(0).Peek(received_));
  server->end->Signal(0);
  EXPECT_EQ(server->end->declared_mode(), DeclaredMode::kServer);
  // With another geometry, too.
  const Geometry other = {1, 128, 4096};
  CreateGuest(other);
  world_.RunUntilIdle();
  EXPECT_TRUE(server->end->connected());
  EXPECT_EQ(server->end->geometry(), other);
  EXPECT_EQ(server->connections, 2);
  EXPECT_EQ(server->end->Activate(5), Violation::kNone);
  GuestSends(1, 10000);
  ServerTakes(*server, 1, 10000);
}

TEST_F(ChannelTest, ARingThatIsReplacedIsMappedAnew) {
  auto server = Connected(2, 5);
  // The server hears of the last values only.
  guest_.reset();
  CreateGuest({2, 256, 2048});
  world_.RunUntilIdle();
  EXPECT_TRUE(server->end->connected());
  EXPECT_EQ(server->end->geometry().entries, 256u);
  EXPECT_FALSE(server->end->active());  // It activates on OnConnected, as for every later channel.
  EXPECT_EQ(server->state(), "4");
  EXPECT_EQ(server->error(), "-");
  EXPECT_EQ(server->platform->live_mappings(), 1u);
  EXPECT_EQ(server->platform->live_ports(), 2u);
}

TEST_F(ChannelTest, AKilledGuestIsLetGo) {
  auto server = Connected(2, 5);
  world_.KillDomain(kGuest);
  world_.Remove("/local/domain/7");
  DieWithoutDestructors(guest_);
  world_.RunUntilIdle();
  EXPECT_FALSE(server->end->connected());
  EXPECT_EQ(server->platform->live_mappings(), 0u);
  server->end.reset();
  EXPECT_EQ(server->state(), "-");
  EXPECT_EQ(server->error(), "-");
}

TEST_F(ChannelTest, NonsenseInKeysClosesForGood) {
  for (const char* ring :
       {"", "1", "1 1 2 64", "1 1 2 64 2048 1", "1 1 2 64 2048 ", "x 1 2 64 2048", "1 1 -2 64 2048",
        "0 1 2 64 2048", "1 2 2 64 2048", "1 1 0 64 2048", "1 1 9 64 2048", "1 1 2 63 2048", "1 1 2 32 2048",
        "1 1 2 8192 2048", "1 1 2 64 1024", "1 1 2 64 32768", "99999999999 1 2 64 2048"}) {
    fake::FakeWorld world;
    world.AddDomain(kGuest);
    Server server(world, 2);
    world.Write(Frontend(2) + "/event-0", "1");
    world.Write(Frontend(2) + "/event-1", "2");
    world.Write(Frontend(2) + "/ring", ring);
    world.RunUntilIdle();
    EXPECT_FALSE(server.end->connected()) << ring;
    EXPECT_EQ(server.end->violation(), Violation::kBadHeader) << ring;
    EXPECT_EQ(server.state(), "6") << ring;
    EXPECT_EQ(server.error(), "bad-header") << ring;
    EXPECT_EQ(server.end->Activate(1), Violation::kBadHeader);
    world.Write(Frontend(2) + "/ring", "1 1 2 64 2048");
    world.RunUntilIdle();
    EXPECT_EQ(server.state(), "6") << ring;
  }
  for (auto [name, value] :
       {std::pair("/event-0", "0"), {"/event-0", "x"}, {"/event-8", "1"}, {"/event-", "1"}}) {
    fake::FakeWorld world;
    world.AddDomain(kGuest);
    Server server(world, 2);
    world.Write(Frontend(2) + name, value);
    world.RunUntilIdle();
    EXPECT_EQ(server.end->violation(), Violation::kBadHeader) << name << value;
  }
}

TEST_F(ChannelTest, MappingAndBindingFailuresAreToldAndCanComeRight) {
  CreateGuest();
  Server server(world_, 2);
  Name(world_, 2);
  // What the guest publishes, but with a grant that there is not.
  auto told = [&](const std::string& ring, const std::string& event) {
    world_.Write(Frontend(2) + "/event-0", event);
    world_.Write(Frontend(2) + "/ring", ring);
    world_.RunUntilIdle();
  };
  world_.RunUntilIdle();
  ASSERT_TRUE(server.end->connected());
  const std::string ring = *world_.Read(Frontend(2) + "/ring"),
                    event = *world_.Read(Frontend(2) + "/event-0");
  told("77 1 2 64 2048", event);
  EXPECT_EQ(server.state(), "6");
  EXPECT_TRUE(server.error().starts_with("map: ")) << server.error();
  EXPECT_EQ(server.end->violation(), Violation::kNone);
  EXPECT_FALSE(server.end->connected());
  told(ring, event);
  EXPECT_EQ(server.state(), "4");
  EXPECT_EQ(server.error(), "-");
  told(ring, "4711");
  EXPECT_EQ(server.state(), "6");
  EXPECT_TRUE(server.error().starts_with("bind: ")) << server.error();
  EXPECT_EQ(server.platform->live_mappings(), 0u);
  told(ring, event);
  EXPECT_EQ(server.state(), "4");
}

TEST_F(ChannelTest, ARegionSmallerThanToldIsAViolation) {
  CreateGuest();
  Server server(world_, 2);
  Name(world_, 2);
  world_.RunUntilIdle();
  std::string ring = *world_.Read(Frontend(2) + "/ring");
  ring.replace(ring.rfind(" 64 "), 4, " 4096 ");
  world_.Write(Frontend(2) + "/ring", ring);
  world_.RunUntilIdle();
  EXPECT_EQ(server.end->violation(), Violation::kBadHeader);
  EXPECT_EQ(server.state(), "6");
}

TEST_F(ChannelTest, TheHeaderMustSayWhatTheKeySays) {
  const std::function<void(Header&)> changes[] = {
      [](Header& h) { h.magic = 0; }, [](Header& h) { h.version = 2; }, [](Header& h) { h.queue_pairs = 1; },
      [](Header& h) { h.entries = 1u << 31; }, [](Header& h) { h.slot_bytes = 4096; }};
  CreateGuest();
  world_.AddDomain(2);
  Name(world_, 2);
  world_.RunUntilIdle();
  for (const auto& change : changes) {
    Intruder intruder(world_, 2);
    Header& header = intruder.header();
    const uint32_t was[] = {header.magic, header.version, header.queue_pairs, header.entries,
                            header.slot_bytes};
    change(header);
    Server server(world_, 2);
    world_.RunUntilIdle();
    EXPECT_EQ(server.state(), "6");
    EXPECT_EQ(server.error(), "bad-header");
    EXPECT_EQ(server.connections, 0);
    header.magic = was[0], header.version = was[1], header.queue_pairs = was[2], header.entries = was[3],
    header.slot_bytes = was[4];
  }
}

TEST_F(ChannelTest, ImpossibleIndicesCloseOnActivation) {
  auto server = Connected(2, 5);
  Intruder intruder(world_, 2);
  server->end->Deactivate();
  ViewOf(intruder.memory, kGeometry, 1, false).control->producer.index = 65;
  EXPECT_EQ(server->end->Activate(6), Violation::kIndexJump);
  EXPECT_FALSE(server->end->active());
  EXPECT_FALSE(server->end->connected());
  world_.RunUntilIdle();
  EXPECT_EQ(server->state(), "6");
  EXPECT_EQ(server->error(), "index-jump");
}

TEST_F(ChannelTest, CloseCutsTheGuestOffForGood) {
  auto server = Connected(2, 5);
  GuestSends(1, 100);
  server->end->Close(Violation::kBadSlot);
  world_.RunUntilIdle();
  EXPECT_EQ(server->error(), "bad-slot");
  EXPECT_EQ(server->end->violation(), Violation::kBadSlot);
  EXPECT_FALSE(server->end->active());
  EXPECT_FALSE(server->end->transmit(0).Peek(received_));
  EXPECT_EQ(PutBytes(server->end->receive(0), Pattern(1, 60)), Status(Error::kUnavailable));
  EXPECT_EQ(server->platform->live_mappings(), 1u);  // Until it is deleted.
  const int events = server->events;
  guest_->Signal(0);
  server->end->Close(Violation::kBadFlags);  // The first reason stays.
  guest_.reset();
  CreateGuest();
  world_.RunUntilIdle();
  EXPECT_EQ(server->events, events);
  EXPECT_EQ(server->state(), "6");
  EXPECT_EQ(server->error(), "bad-slot");
  EXPECT_EQ(server->end->Activate(9), Violation::kBadSlot);
  server->end.reset();
  EXPECT_EQ(server->platform->live_mappings(), 0u);
  EXPECT_EQ(server->platform->live_ports(), 0u);
}

TEST_F(ChannelTest, ModeAndLeasesAreKnownToASuccessor) {
  auto server = Connected(2, 5);
  EXPECT_EQ(server->end->declared_mode(), DeclaredMode::kServer);
  guest_->DeclareMode(DeclaredMode::kDirect);
  ASSERT_TRUE(guest_->DeclareLease(6, 80, 0x500000001, 111).ok());
  ASSERT_TRUE(guest_->DeclareLease(17, 80, 0x500000002, 222).ok());
  ASSERT_TRUE(guest_->DeclareLease(6, 443, 0x500000003, 333).ok());
  guest_->WithdrawLease(17, 80);
  guest_->WithdrawLease(17, 81);                                    // Not declared.
  ASSERT_TRUE(guest_->DeclareLease(6, 80, 0x500000004, 444).ok());  // Replaces.
  EXPECT_EQ(guest_->DeclareLease(1, 80, 1, 1), Status(Error::kInvalidArgument));
  EXPECT_EQ(guest_->DeclareLease(6, 0, 1, 1), Status(Error::kInvalidArgument));
  Server second(world_, 3);
  Name(world_, 3);
  world_.RunUntilIdle();
  EXPECT_EQ(second.end->declared_mode(), DeclaredMode::kDirect);
  Lease leases[8];
  ASSERT_EQ(second.end->DeclaredLeases(leases), 2u);
  EXPECT_EQ(leases[0].port, 80);
  EXPECT_EQ(leases[0].protocol, 6);
  EXPECT_EQ(leases[0].sequence, 0x500000004u);
  EXPECT_EQ(leases[0].token, 444u);
  EXPECT_EQ(leases[1].port, 443);
  EXPECT_EQ(second.end->DeclaredLeases(std::span(leases, 1)), 1u);
  EXPECT_EQ(second.end->DeclaredLeases({}), 0u);
  guest_->DeclareMode(DeclaredMode::kServer);
  EXPECT_EQ(second.end->declared_mode(), DeclaredMode::kServer);
}

TEST_F(ChannelTest, TheLeaseTableFillsAndEmpties) {
  auto server = Connected();
  for (uint32_t i = 1; i <= kMaxLeases; ++i) {
    ASSERT_TRUE(guest_->DeclareLease(6, static_cast<uint16_t>(i), i, i).ok());
  }
  EXPECT_EQ(guest_->DeclareLease(6, 5000, 1, 1), Status(Error::kExhausted));
  EXPECT_TRUE(guest_->DeclareLease(6, 5, 99, 99).ok());  // Known already.
  std::vector<Lease> leases(2 * kMaxLeases);
  EXPECT_EQ(server->end->DeclaredLeases(leases), kMaxLeases);
  guest_->WithdrawLease(6, 700);
  EXPECT_TRUE(guest_->DeclareLease(6, 5000, 1, 1).ok());
  EXPECT_EQ(server->end->DeclaredLeases(leases), kMaxLeases);
  EXPECT_EQ(leases[699].port, 5000);
}

TEST_F(ChannelTest, HostileLeasesAndModesAreSkipped) {
  auto server = Connected();
  Intruder intruder(world_, 2);
  DeclaredLease* shared = LeasesOf(intruder.memory);
  shared[0].words[0] = 6 | 80 << 8 | uint64_t{1} << 40;  // Bits that must be 0.
  shared[1].words[0] = 1 | 80 << 8;                      // ICMP has no ports.
  shared[2].words[0] = 6;                                // Port 0.
  shared[3].words[0] = 17 | 65535 << 8;
  shared[kMaxLeases - 1].words[0] = 6 | 22 << 8;
  intruder.header().lease_count = ~0u;
  std::vector<Lease> leases(2 * kMaxLeases);
  ASSERT_EQ(server->end->DeclaredLeases(leases), 2u);
  EXPECT_EQ(leases[0].port, 65535);
  EXPECT_EQ(leases[1].port, 22);
  intruder.header().mode = 12345;
  EXPECT_EQ(server->end->declared_mode(), DeclaredMode::kServer);
}

TEST_F(ChannelTest, CreationFailsWithAReason) {
  auto create = [&](const Geometry& geometry, const std::string& base = kBase) {
    return GuestEnd::Create(*platform_, base, geometry, &observer_).error();
  };
  EXPECT_EQ(create({0, 64, 2048}), Error::kInvalidArgument);
  EXPECT_EQ(create({1, 65, 2048}), Error::kInvalidArgument);
  EXPECT_EQ(create(kGeometry, "/" + std::string(300, 'x')), Error::kInvalidArgument);
  platform_->SetOutOfMemory(true);
  EXPECT_EQ(create(kGeometry), Error::kExhausted);
  platform_->SetOutOfMemory(false);
  EXPECT_EQ(platform_->live_regions(), 0u);
}

TEST_F(ChannelTest, KeysThatNameNoServerAreIgnored) {
  CreateGuest();
  for (const char* name : {"0", "x", "2/x", "99999999999", "-1"})
    world_.Write(kBase + "/backend/" + name, "1");
  world_.RunUntilIdle();
  EXPECT_EQ(platform_->live_ports(), 0u);
}

TEST_F(ChannelTest, ServersComeAndGoWithoutATrace) {
  CreateGuest();
  for (int i = 0; i < 100; ++i) {
    for (DomainId id = 2; id < 5; ++id) Name(world_, id);
    world_.RunUntilIdle();
    EXPECT_EQ(platform_->live_ports(), 6u);
    for (DomainId id = 2; id < 5; ++id) Forget(world_, id);
    world_.RunUntilIdle();
    EXPECT_EQ(platform_->live_ports(), 0u);
  }
  for (const auto& [path, value] : world_.keys()) EXPECT_EQ(path.find("frontend"), std::string::npos) << path;
}

}  // namespace
}  // namespace librettos::channel
