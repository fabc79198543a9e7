// Ten thousand open connections to one guest: each is accepted, carries its own bytes, and goes.
#include <gtest/gtest.h>

#include <map>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::sockets {
namespace {

using guest::Bytes;
using guest::TcpSegment;

constexpr size_t kConnections = 10000;
constexpr size_t kBatch = 500;  // Of frames at once: less than the ring has entries.
constexpr uint16_t kFirstPort = 2000;

class ManyConnectionsTest : public testing::Test {
 protected:
  struct Peer {
    uint32_t sequence, acknowledged;
  };
  ManyConnectionsTest() : peers_(kConnections) { world_.TeachArp(); }
  // One segment from each peer of a batch; `take` sees what the guest sends then.
  template <class Make, class Take>
  void Step(size_t from, Make make, Take take) {
    for (size_t i = from; i < from + kBatch; i++) {
      TcpSegment segment = make(i);
      segment.source = static_cast<uint16_t>(kFirstPort + i);
      segment.destination = 80;
      segment.window = 0xffff;
      world_.Deliver(guest::MakeTcp(segment));
    }
    world_.Turn(20);  // 64 frames a turn.
    Receive(take);
  }
  template <class Take>
  void Receive(Take take) {
    for (auto& frame : world_.TakeSent()) {
      if (!guest::IsTcp(frame.bytes)) continue;
      const TcpSegment segment = guest::ParseTcp(frame.bytes);
      take(segment.destination - kFirstPort, segment);
    }
  }
  guest::TestWorld world_;
  std::vector<Peer> peers_;
};

TEST_F(ManyConnectionsTest, EachCarriesItsOwnBytes) {
  int listener = Socket(Family::kIpv4, Type::kStream).value();
  ASSERT_TRUE(Bind(listener, Address::Any(Family::kIpv4, 80)).ok());
  ASSERT_TRUE(Listen(listener, static_cast<int>(kConnections)).ok());
  std::unique_ptr<Epoll> epoll(Epoll::Create().value());

  std::map<int, size_t> peer_of;
  auto accept = [&] {
    for (;;) {
      Address peer;
      auto socket = Accept(listener, &peer);
      if (!socket.ok()) return;
      peer_of[*socket] = peer.port - kFirstPort;
      ASSERT_TRUE(epoll->Add(*socket, kIn, static_cast<uint64_t>(*socket)).ok());
    }
  };
  for (size_t from = 0; from < kConnections; from += kBatch) {
    Step(
        from, [&](size_t) { return TcpSegment{0, 0, 999, 0, guest::kTcpSyn, 0, {}, {}}; },
        [&](size_t i, const TcpSegment& answer) {
          ASSERT_LT(i, kConnections);
          ASSERT_EQ(answer.flags, guest::kTcpSyn | guest::kTcpAck);
          peers_[i] = {1000, answer.sequence + 1};
        });
    Step(
        from,
        [&](size_t i) { return TcpSegment{0, 0, 1000, peers_[i].acknowledged, guest::kTcpAck, 0, {}, {}}; },
        [](size_t i, const TcpSegment&) { ADD_FAILURE() << i; });
    accept();
  }
  ASSERT_EQ(peer_of.size(), kConnections);
  world_.Advance(1'000'000'000);
  EXPECT_EQ(world_.stack().interface().Get(guest::Counter::k_connections), kConnections);

  // Each sends its number, and gets it back.
  size_t echoed = 0;
  auto echo = [&] {
    EpollEvent events[256];
    while (size_t count = epoll->Wait(events, 0)) {
      for (size_t i = 0; i < count; i++) {
        const int socket = static_cast<int>(events[i].data);
        std::byte number[8];
        ASSERT_EQ(sockets::Receive(socket, number).value(), 8u);
        ASSERT_EQ(guest::Load32(number), peer_of[socket]);
        ASSERT_EQ(Send(socket, number).value(), 8u);
      }
    }
  };
  auto returned = [&](size_t i, const TcpSegment& segment) {
    if (segment.payload.empty()) return;
    ASSERT_EQ(segment.payload.size(), 8u);
    EXPECT_EQ(guest::Load32(segment.payload.data()), i);
    peers_[i].acknowledged = segment.sequence + 8;
    echoed++;
  };
  for (size_t from = 0; from < kConnections; from += kBatch) {
    Step(
        from,
        [&](size_t i) {
          Bytes number(8);
          guest::Store32(number.data(), static_cast<uint32_t>(i));
          return TcpSegment{0, 0, 1000, peers_[i].acknowledged, guest::kTcpAck, 0, {}, number};
        },
        returned);
    echo();
  }
  world_.Turn(20);
  Receive(returned);
  EXPECT_EQ(echoed, kConnections);

  // All go.
  for (size_t from = 0; from < kConnections; from += kBatch) {
    Step(
        from,
        [&](size_t i) { return TcpSegment{0, 0, 1008, peers_[i].acknowledged, guest::kTcpRst, 0, {}, {}}; },
        [](size_t, const TcpSegment&) {});
  }
  for (auto [socket, peer] : peer_of) Close(socket);
  Close(listener);
  world_.Turn();
  world_.TakeSent();
  world_.Advance(1'000'000'000);
  EXPECT_EQ(world_.stack().interface().Get(guest::Counter::k_connections), 0u);
}

}  // namespace
}  // namespace librettos::sockets
