// A server that breaks the channel's rules: the guest counts it with the reason, gets itself a new channel,
// and its connections go on.
#include <gtest/gtest.h>

#include <functional>

#include "guest/channel/layout.h"
#include "guest/channel/ring.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

using channel::Descriptor;
using channel::RingControl;
using channel::Violation;

class HostileServerTest : public testing::Test {
 protected:
  HostileServerTest() : world_({.queue_pairs = 2}) { world_.TeachArp(); }
  ~HostileServerTest() override {
    if (socket_ >= 0) sockets::Close(socket_);
  }
  RingControl* Control(std::byte* memory, uint32_t pair, bool receive) {
    return reinterpret_cast<RingControl*>(memory + world_.server().geometry().ring_offset(pair, receive));
  }
  void RuinReceiveIndex() { Control(world_.MapChannel(), 1, true)->producer.index = 1u << 20; }
  void RuinTransmitIndex() { Control(world_.MapChannel(), 1, false)->consumer.index = 1u << 20; }
  void RuinDescriptor() {
    RingControl* control = Control(world_.MapChannel(), 0, true);
    auto* descriptors = reinterpret_cast<Descriptor*>(control + 1);
    const uint32_t at = control->producer.index;
    descriptors[at % world_.server().geometry().entries] = {1u << 30, 60, 0, 0, 0, 0, 0};
    control->producer.index = at + 1;
  }
  void RuinHeader() { reinterpret_cast<channel::Header*>(world_.MapChannel())->entries = 128; }
  void Signal() {
    world_.server().Signal(0);
    world_.world().RunUntilIdle();
  }
  uint64_t Get(Counter counter) { return world_.stack().interface().Get(counter); }

  void Open() {
    socket_ = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kStream).value();
    ASSERT_EQ(sockets::Connect(socket_, sockets::Address::Parse("10.1.0.1", 80).value()).error(),
              Error::kAgain);
    world_.Turn();
    for (auto& frame : world_.TakeSent()) {
      if (IsTcp(frame.bytes)) syn_ = ParseTcp(frame.bytes);
    }
    ASSERT_EQ(syn_.flags, kTcpSyn);
    world_.Deliver(MakeTcp({80, syn_.source, 999, syn_.sequence + 1, kTcpSyn | kTcpAck, 0xffff, {}, {}}));
    world_.Turn();
    world_.TakeSent();
  }
  // Bytes both ways; lost ones are repeated.
  void ExpectUsable() {
    ASSERT_TRUE(sockets::Send(socket_, Text2Bytes("ping")).ok());
    std::string got;
    for (int i = 0; i < 50 && got.empty(); i++) {
      world_.Advance(50'000'000);
      for (auto& frame : world_.TakeSent()) {
        if (!IsTcp(frame.bytes)) continue;
        const Bytes payload = ParseTcp(frame.bytes).payload;
        got.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
      }
    }
    EXPECT_EQ(got, "ping");
    sent_ += 4;
    world_.Deliver(MakeTcp({80,
                            syn_.source,
                            1000 + received_,
                            syn_.sequence + 1 + sent_,
                            kTcpAck,
                            0xffff,
                            {},
                            Text2Bytes("pong")}));
    world_.Turn();
    received_ += 4;
    Bytes buffer(16);
    EXPECT_EQ(sockets::Receive(socket_, buffer).value(), 4u);
    world_.TakeSent();
  }
  // The server that has the guest's new memory takes it up.
  void Reconnect(uint32_t epoch) {
    world_.Turn();
    ASSERT_TRUE(world_.server().connected());
    ASSERT_FALSE(world_.server().active()) << "it was not given new memory";
    ASSERT_EQ(world_.server().Activate(epoch), Violation::kNone);
    Signal();
    world_.Turn();
  }

  TestWorld world_;
  int socket_ = -1;
  TcpSegment syn_;
  uint32_t sent_ = 0, received_ = 0;
};

TEST_F(HostileServerTest, EachViolationIsCountedWithItsReasonAndMended) {
  Open();
  const std::pair<std::function<void()>, Violation> attacks[] = {
      {[&] { RuinReceiveIndex(); }, Violation::kIndexJump},
      {[&] { RuinDescriptor(); }, Violation::kBadSlot},
      {[&] { RuinTransmitIndex(); }, Violation::kIndexJump},
      {[&] { RuinHeader(); }, Violation::kBadHeader},
  };
  uint64_t count = 0;
  for (const auto& [attack, reason] : attacks) {
    attack();
    Signal();
    Reconnect(1);
    count++;
    EXPECT_EQ(Get(Counter::k_server_violations), count);
    EXPECT_EQ(Get(Counter::k_channel_renewals), count);
    EXPECT_EQ(Get(Counter::k_server_violation), static_cast<uint64_t>(reason));
    EXPECT_EQ(world_.world().Read("/local/domain/" + std::to_string(TestWorld::kGuest) + "/data/violation"),
              std::to_string(count) + " " + channel::ToString(reason));
    ExpectUsable();
    world_.Advance(100'000'000'000);  // The next one comes much later.
  }
}

TEST_F(HostileServerTest, ASuccessorOnARuinedHeaderGetsAFreshStart) {
  Open();
  RuinHeader();
  world_.ReplaceServer(3);
  if (!world_.server().active()) Reconnect(2);
  EXPECT_GE(Get(Counter::k_server_violations), 1u);
  EXPECT_EQ(Get(Counter::k_server_epoch), 2u);
  ExpectUsable();
}

TEST_F(HostileServerTest, ASuccessorOnRuinedRingsGetsAFreshStart) {
  Open();
  RuinTransmitIndex();
  RuinReceiveIndex();
  world_.ReplaceServer(3);
  // It saw the ruins, or already the new memory.
  if (world_.server().connected() && world_.server().Activate(2) != Violation::kNone) Reconnect(2);
  Signal();
  world_.Turn();
  EXPECT_TRUE(world_.server().active());
  EXPECT_EQ(Get(Counter::k_server_violations), 1u);
  EXPECT_EQ(Get(Counter::k_server_epoch), 2u);
  ExpectUsable();
}

TEST_F(HostileServerTest, OneThatGoesOnCostsLittleMemoryAndNoSpinning) {
  Open();
  for (int i = 0; i < 100; i++) {
    if (world_.server().connected() && !world_.server().active()) (void)world_.server().Activate(1);
    const uint64_t before = Get(Counter::k_channel_renewals);
    RuinReceiveIndex();
    Signal();
    world_.Advance(100'000'000);
    if (Get(Counter::k_channel_renewals) == before) {
      EXPECT_TRUE(world_.stack().interface().Arm()) << "it would never sleep";
    }
  }
  EXPECT_LE(Get(Counter::k_channel_renewals), 5u);  // At 0, 1, 3 and 7 of 10 seconds.
  EXPECT_GE(Get(Counter::k_channel_renewals), 3u);
  EXPECT_EQ(world_.world().domain(TestWorld::kGuest)->live_regions(), 2u);  // Channel and statistics.
  // An honest one comes.
  world_.ReplaceServer(3);
  if (!world_.server().active()) Reconnect(2);
  ExpectUsable();
}

}  // namespace
}  // namespace librettos::guest
