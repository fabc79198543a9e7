// Channels renewed by the guest, over the fake platform.
#include <gtest/gtest.h>

#include <functional>

#include "guest/channel/channel_fixture.h"

namespace librettos::channel {
namespace {

TEST_F(ChannelTest, ARenewedChannelStartsAfreshAndKeepsModeAndLeases) {
  auto server = Connected(2, 5);
  guest_->DeclareMode(DeclaredMode::kDirect);
  ASSERT_TRUE(guest_->DeclareLease(6, 80, 7, 111).ok());
  ASSERT_TRUE(guest_->DeclareLease(6, 81, 8, 222).ok());
  guest_->WithdrawLease(6, 80);
  GuestSends(1, 100);
  Intruder intruder(world_, 2);
  ViewOf(intruder.memory, kGeometry, 0, true).control->producer.index = 1000;
  LeasesOf(intruder.memory)[1].words[2] = 333;
  EXPECT_FALSE(guest_->receive(0).Peek(received_));
  ASSERT_TRUE(guest_->Renew().ok());
  EXPECT_EQ(guest_->receive(0).violation(), Violation::kNone);
  EXPECT_TRUE(guest_->transmit(0).Drained());
  EXPECT_EQ(guest_->active_server(), 0u);
  GuestSends(2, 100);  // Waits in the new ring.
  world_.RunUntilIdle();
  EXPECT_EQ(platform_->live_regions(), 1u);
  EXPECT_EQ(server->connections, 2);
  EXPECT_TRUE(server->end->connected());
  EXPECT_FALSE(server->end->active());
  EXPECT_EQ(server->end->declared_mode(), DeclaredMode::kDirect);
  Lease leases[8];
  ASSERT_EQ(server->end->DeclaredLeases(leases), 1u);
  EXPECT_EQ(leases[0].port, 81);
  EXPECT_EQ(leases[0].token, 222u);
  ASSERT_EQ(server->end->Activate(5), Violation::kNone);
  world_.RunUntilIdle();
  ASSERT_EQ(observer_.servers.size(), 2u) << "told again, though it is the same";
  ServerTakes(*server, 2, 100);
  // Whoever keeps the old memory mapped changes nothing any more.
  intruder.header().server = 0;
  ViewOf(intruder.memory, kGeometry, 0, false).control->consumer.index = 4711;
  for (uint32_t pair = 0; pair < 2; ++pair) {
    GuestSends(3, 9000, pair);
    ServerTakes(*server, 3, 9000, true, pair);
    ASSERT_TRUE(PutBytes(server->end->receive(pair), Pattern(4, 1514)).ok());
    (void)server->end->receive(pair).Publish();
    ASSERT_TRUE(guest_->receive(pair).Peek(received_));
    EXPECT_EQ(BytesOf(received_), Pattern(4, 1514));
  }
}

TEST_F(ChannelTest, RenewalsAreFewUnlessTheDaemonForgetsAServer) {
  fake::FreezeClock();
  auto server = Connected(2, 5);
  ASSERT_TRUE(guest_->Renew().ok());
  for (Nanoseconds period : {1, 2, 4, 8, 16, 32, 64, 64}) {
    fake::AdvanceClock(period * GuestEnd::kRenewPeriod - 1);
    EXPECT_EQ(guest_->Renew(), Status(Error::kAgain)) << period;
    fake::AdvanceClock(1);
    EXPECT_TRUE(guest_->Renew().ok()) << period;
  }
  EXPECT_EQ(guest_->Renew(), Status(Error::kAgain));
  world_.RunUntilIdle();
  Forget(world_, 2);
  world_.RunUntilIdle();
  EXPECT_TRUE(guest_->Renew().ok());
  EXPECT_EQ(guest_->Renew(), Status(Error::kAgain)) << "once for each";
  fake::ThawClock();
}

TEST_F(ChannelTest, RenewalWithoutMemoryChangesNothing) {
  auto server = Connected(2, 5);
  platform_->SetOutOfMemory(true);
  EXPECT_EQ(guest_->Renew(), Status(Error::kExhausted));
  platform_->SetOutOfMemory(false);
  GuestSends(1, 100);
  ServerTakes(*server, 1, 100);
  EXPECT_EQ(server->connections, 1);
}

TEST_F(ChannelTest, ASuccessorThatFindsRuinedIndicesGetsANewChannel) {
  for (const bool receive : {false, true}) {
    guest_.reset();
    CreateGuest();
    auto first = Connected(2, 5);
    Server second(world_, 3);
    Name(world_, 3);
    world_.RunUntilIdle();
    {
      Intruder intruder(world_, 2);
      RingControl* control = ViewOf(intruder.memory, kGeometry, 1, receive).control;
      (receive ? control->producer : control->consumer).index = 4711;
    }
    const int events = observer_.events;
    EXPECT_EQ(second.end->Activate(6), Violation::kIndexJump);
    world_.RunUntilIdle();
    EXPECT_EQ(second.state(), "6");
    EXPECT_EQ(second.error(), "index-jump");
    EXPECT_EQ(observer_.events, events + 1) << "the guest is woken to see it";
    EXPECT_FALSE(guest_->transmit(1).Drained() && guest_->receive(1).Peek(received_));
    EXPECT_EQ((receive ? guest_->receive(1).violation() : guest_->transmit(1).violation()),
              Violation::kIndexJump);
    ASSERT_TRUE(guest_->Renew().ok());
    world_.RunUntilIdle();
    EXPECT_EQ(second.state(), "4");
    EXPECT_EQ(second.error(), "-");
    ASSERT_EQ(second.end->Activate(6), Violation::kNone);
    GuestSends(1, 100, 1);
    ServerTakes(second, 1, 100, true, 1);
    Forget(world_, 2);
    Forget(world_, 3);
    world_.RunUntilIdle();
  }
}

// A server's doing as well as a guest's: the next one refuses the channel, and takes the new one.
TEST_F(ChannelTest, ASuccessorThatFindsARuinedHeaderGetsANewChannel) {
  const std::function<void(Header&)> attacks[] = {
      [](Header& h) { h.magic = 0; },         [](Header& h) { h.version = 2; },
      [](Header& h) { h.queue_pairs = 1; },   [](Header& h) { h.entries = 128; },
      [](Header& h) { h.slot_bytes = 4096; },
  };
  CreateGuest();
  auto first = Connected(2, 5);
  DomainId next = 3;
  for (const auto& attack : attacks) {
    EXPECT_TRUE(guest_->Intact());
    attack(Intruder(world_, 2).header());
    EXPECT_FALSE(guest_->Intact());
    const int events = observer_.events;
    Server second(world_, next);
    Name(world_, next);
    world_.RunUntilIdle();
    EXPECT_EQ(second.state(), "6");
    EXPECT_EQ(second.error(), "bad-header");
    EXPECT_EQ(observer_.events, events + 1) << "the guest is woken to see it";
    ASSERT_TRUE(guest_->Renew().ok());
    world_.RunUntilIdle();
    EXPECT_EQ(second.state(), "4");
    EXPECT_EQ(second.error(), "-");
    Forget(world_, next++);
    world_.RunUntilIdle();
  }
}

TEST_F(ChannelTest, WhatTheGuestDeclaresIsItsOwn) {
  const std::function<void(Header&, DeclaredLease*)> attacks[] = {
      [](Header& h, DeclaredLease*) { h.lease_count = 0; },
      [](Header&, DeclaredLease* leases) { leases[1].words[0] = 0; },
      [](Header&, DeclaredLease* leases) { leases[1].words[1] = 9; },
      [](Header&, DeclaredLease* leases) { leases[1].words[2] = 9; },
  };
  auto server = Connected(2, 5);
  ASSERT_TRUE(guest_->DeclareLease(6, 80, 7, 111).ok());
  ASSERT_TRUE(guest_->DeclareLease(6, 81, 8, 222).ok());
  guest_->WithdrawLease(6, 80);
  uint32_t epoch = 5;
  const auto activate = [&] {
    ASSERT_EQ(server->end->Activate(++epoch), Violation::kNone);
    server->end->Signal(0);
    world_.RunUntilIdle();
  };
  activate();
  EXPECT_TRUE(guest_->Intact());
  {
    Intruder intruder(world_, 2);
    intruder.header().mode = static_cast<uint32_t>(DeclaredMode::kDirect);
    EXPECT_FALSE(guest_->Intact());
    intruder.header().mode = static_cast<uint32_t>(DeclaredMode::kServer);
  }
  for (const auto& attack : attacks) {
    {
      Intruder intruder(world_, 2);
      attack(intruder.header(), LeasesOf(intruder.memory));
    }
    EXPECT_TRUE(guest_->Intact()) << "is looked at when somebody has taken them up";
    activate();
    EXPECT_FALSE(guest_->Intact());
    ASSERT_TRUE(guest_->Renew().ok());
    EXPECT_TRUE(guest_->Intact());
    world_.RunUntilIdle();
    activate();
    EXPECT_TRUE(guest_->Intact());
    Lease leases[8];
    ASSERT_EQ(server->end->DeclaredLeases(leases), 1u);
    EXPECT_EQ(leases[0].port, 81);
    fake::AdvanceClock(GuestEnd::kMaxRenewPeriod);
  }
}

}  // namespace
}  // namespace librettos::channel
