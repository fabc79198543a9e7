// A guest with several queue pairs: each flow in order on one of them, none stopped by another's full ring,
// and changes of mode and lease messages in order with the frames of all.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

constexpr uint32_t kPairs = 4;

class QueuePairsTest : public testing::Test {
 protected:
  explicit QueuePairsTest(bool shared = false)
      : nic_(TestWorld::kGuestMac), world_({.shared = shared, .queue_pairs = kPairs}) {
    fake::RegisterNic("nics/one", &nic_);
    world_.TeachArp();
  }
  ~QueuePairsTest() override {
    for (int socket : sockets_) sockets::Close(socket);
    fake::RegisterNic("nics/one", nullptr);
  }
  void OpenSockets(int count) {
    for (int i = 0; i < count; i++) {
      sockets_.push_back(sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value());
    }
  }
  // From socket `flow`, datagram `number`.
  void SendNumber(size_t flow, int number) {
    auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
    ASSERT_TRUE(sockets::SendTo(sockets_[flow], Text2Bytes(std::to_string(number)), peer).ok());
  }
  struct Datagram {
    uint16_t port;
    int number;
  };
  static std::vector<Datagram> Datagrams(const std::vector<Bytes>& frames) {
    std::vector<Datagram> out;
    for (const Bytes& frame : frames) {
      if (Dissect(frame.data(), frame.size()).protocol != kProtocolUdp) continue;
      const std::string text(reinterpret_cast<const char*>(frame.data()) + 42, frame.size() - 42);
      out.push_back({Load16(&frame[34]), std::stoi(text)});
    }
    return out;
  }
  std::vector<Datagram> ByPair(uint32_t pair, bool commit = true) {
    std::vector<Bytes> frames;
    for (auto& frame : world_.TakeSentBy(pair, commit)) frames.push_back(frame.bytes);
    return Datagrams(frames);
  }
  void GiveNic() {
    Device device = {};
    std::strcpy(device.name, "nics/one");
    device.kind = DeviceKind::kTap;
    device.mtu = 1500;
    world_.world().GiveDevice(TestWorld::kGuest, device);
  }
  void Ask(const std::string& value) {
    world_.world().Write(world_.Key("control/mode"), value);
    world_.world().RunUntilIdle();
  }
  // Each flow's numbers must follow on each other.
  void ExpectNext(const std::vector<Datagram>& datagrams) {
    for (const Datagram& datagram : datagrams) {
      EXPECT_EQ(datagram.number, next_[datagram.port]) << "flow " << datagram.port;
      next_[datagram.port] = datagram.number + 1;
    }
  }
  // The queue pair of socket `flow`.
  uint32_t PairOf(size_t flow) {
    return FlowPair(kPairs, world_.stack().shared())
        .Of(MakeUdpOut(sockets::LocalAddress(sockets_[flow])->port));
  }
  static Bytes MakeUdpOut(uint16_t port) {
    Bytes frame = MakeUdp(port, 9, {});
    Store32(&frame[26], TestWorld::kGuestIp);
    Store32(&frame[30], TestWorld::kPeerIp);
    return frame;
  }

  fake::FakeNic nic_;
  TestWorld world_;
  std::vector<int> sockets_;
  std::map<uint16_t, int> next_;
};

TEST_F(QueuePairsTest, EachFlowKeepsToOnePairAndAllAreUsed) {
  OpenSockets(40);
  for (int round = 0; round < 5; round++) {
    for (size_t flow = 0; flow < sockets_.size(); flow++) SendNumber(flow, round);
  }
  world_.Turn();
  std::map<uint16_t, uint32_t> pair_of;
  for (uint32_t pair = 0; pair < kPairs; pair++) {
    auto datagrams = ByPair(pair);
    EXPECT_GT(datagrams.size(), 0u) << "pair " << pair;
    ExpectNext(datagrams);
    for (const Datagram& d : datagrams) EXPECT_EQ(pair_of.try_emplace(d.port, pair).first->second, pair);
  }
  EXPECT_EQ(pair_of.size(), sockets_.size());
  for (auto [port, next] : next_) EXPECT_EQ(next, 5) << port;
}

TEST_F(QueuePairsTest, AFullRingHoldsOnlyItsOwnFlows) {
  OpenSockets(40);
  for (size_t flow = 0; flow < sockets_.size(); flow++) SendNumber(flow, 0);
  world_.Turn();
  for (uint32_t pair = 0; pair < kPairs; pair++) ExpectNext(ByPair(pair));
  const uint32_t full = PairOf(0);
  size_t other = 1;
  while (PairOf(other) == full) other++;
  int sent = 1;
  for (; sent < 2500; sent++) SendNumber(0, sent);  // The ring has 2048 entries.
  SendNumber(other, 1);
  world_.Turn();
  EXPECT_EQ(world_.stack().interface().held(), 2500u - 1 - 2048);
  auto passed = ByPair(PairOf(other));
  ASSERT_EQ(passed.size(), 1u);
  EXPECT_EQ(passed[0].number, 1);
  while (next_[sockets::LocalAddress(sockets_[0])->port] < sent) {
    auto more = ByPair(full);
    ASSERT_FALSE(more.empty()) << "after " << next_[sockets::LocalAddress(sockets_[0])->port];
    ExpectNext(more);
    world_.Turn();
  }
  EXPECT_EQ(world_.stack().interface().held(), 0u);
  EXPECT_EQ(world_.stack().interface().Get(Counter::k_tx_dropped), 0u);
}

TEST_F(QueuePairsTest, GoingDirectWaitsForEveryPair) {
  OpenSockets(40);
  for (size_t flow = 0; flow < sockets_.size(); flow++) SendNumber(flow, 0);
  world_.Turn();
  GiveNic();
  Ask("direct 1 1000 nics/one");
  for (uint32_t pair = 0; pair < kPairs; pair++) {
    world_.Turn();
    EXPECT_EQ(world_.DataMode(), "preparing-direct 1 0 0") << "pair " << pair << " is not drained";
    for (size_t flow = 0; flow < sockets_.size(); flow++) SendNumber(flow, static_cast<int>(pair) + 1);
    world_.Turn();
    EXPECT_TRUE(nic_.sent().empty());
    ExpectNext(ByPair(pair));
  }
  world_.Turn();
  EXPECT_EQ(world_.DataMode().substr(0, 9), "direct 1 ");
  std::vector<Bytes> frames;
  for (auto& frame : nic_.sent()) frames.push_back(frame.bytes);
  ExpectNext(Datagrams(frames));
  for (auto [port, next] : next_) EXPECT_EQ(next, static_cast<int>(kPairs) + 1) << port;
}

TEST_F(QueuePairsTest, ComingBackIsToldOnEveryPairBeforeItsFrames) {
  OpenSockets(40);
  GiveNic();
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  ASSERT_EQ(world_.DataMode().substr(0, 9), "direct 1 ");
  world_.TakeSent();
  world_.controls().clear();
  Ask("server 2 1000 -");
  world_.Turn();
  for (size_t flow = 0; flow < sockets_.size(); flow++) SendNumber(flow, 0);
  world_.Turn();
  for (uint32_t pair = 0; pair < kPairs; pair++) {
    channel::Received first;
    ASSERT_TRUE(world_.server().transmit(pair).Peek(first));
    world_.server().transmit(pair).Rewind();
    ASSERT_TRUE(first.control) << "pair " << pair;
    EXPECT_EQ(first.message.type, static_cast<uint16_t>(channel::ControlType::kModeChanged));
    EXPECT_EQ(first.message.value, 0u);
  }
  EXPECT_EQ(world_.server().declared_mode(), channel::DeclaredMode::kServer);
  // It is over when all of them are through.
  for (uint32_t pair = 0; pair < kPairs; pair++) {
    world_.Advance(30'000'000);
    EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0") << "pair " << pair << " is not drained";
    ExpectNext(ByPair(pair));
  }
  world_.Turn();  // From here on the NIC is to be quiet.
  world_.Advance(30'000'000);
  world_.Turn();
  EXPECT_EQ(world_.DataMode().substr(0, 9), "server 2 ");
  for (auto [port, next] : next_) EXPECT_EQ(next, 1) << port;
}

TEST_F(QueuePairsTest, TcpThatWasRefusedGoesOnWhenItsPairHasRoom) {
  OpenSockets(40);
  int stream = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kStream).value();
  sockets_.push_back(stream);
  ASSERT_EQ(sockets::Connect(stream, sockets::Address::Parse("10.1.0.1", 80).value()).error(), Error::kAgain);
  world_.Turn();
  uint32_t pair = kPairs;
  TcpSegment syn;
  for (uint32_t i = 0; i < kPairs; i++) {
    for (auto& frame : world_.TakeSentBy(i)) {
      if (!IsTcp(frame.bytes)) continue;
      pair = i;
      syn = ParseTcp(frame.bytes);
    }
  }
  ASSERT_LT(pair, kPairs);
  world_.Deliver(MakeTcp({80, syn.source, 1000, syn.sequence + 1, kTcpSyn | kTcpAck, 0xffff, {}, {}}));
  world_.Turn();
  world_.TakeSent();
  // Fill the pair's ring with datagrams of other flows.
  for (size_t flow = 0; flow < 40; flow++) SendNumber(flow, 0);
  size_t filler = 0;
  while (PairOf(filler) != pair) filler++;
  while (world_.stack().interface().held() == 0) SendNumber(filler, 0);
  ASSERT_TRUE(sockets::Send(stream, Bytes(1000)).ok());
  world_.Turn();
  size_t payload = 0;
  for (int round = 0; round < 10; round++) {
    for (auto& frame : world_.TakeSentBy(pair)) {
      if (IsTcp(frame.bytes)) payload += ParseTcp(frame.bytes).payload.size();
    }
    world_.Turn();
  }
  EXPECT_EQ(payload, 1000u);
}

class SharedQueuePairsTest : public QueuePairsTest {
 protected:
  SharedQueuePairsTest() : QueuePairsTest(true) {}
  // The server grants what was asked.
  void Grant() {
    world_.Turn(1);
    world_.TakeSent();
    for (auto message : world_.controls()) {
      if (message.type != static_cast<uint16_t>(channel::ControlType::kLeaseRequest)) continue;
      message.type = static_cast<uint16_t>(channel::ControlType::kLeaseReply);
      message.sequence = 1;
      world_.DeliverControl(message);
    }
    world_.controls().clear();
    world_.Turn();
  }
};

TEST_F(SharedQueuePairsTest, AReleaseFollowsTheFramesOfItsPort) {
  auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
  for (uint16_t port = 5000; port < 5020; port++) {
    auto request = world_.stack().leases().Request(kProtocolUdp, port);
    ASSERT_TRUE(request.ok());
    Grant();
    ASSERT_EQ(world_.stack().leases().Answer(*request).value(), port);
    int socket = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
    ASSERT_TRUE(sockets::Bind(socket, sockets::Address::Any(sockets::Family::kIpv4, port)).ok());
    world_.stack().leases().Release(kProtocolUdp, port);  // The socket has its own share.
    ASSERT_TRUE(sockets::SendTo(socket, Bytes(4000), peer).ok());
    sockets::Close(socket);
    world_.Turn();
    int pairs_used = 0;
    for (uint32_t pair = 0; pair < kPairs; pair++) {
      channel::Received entry;
      bool released = false;
      uint32_t entries = 0, frames = 0;
      while (world_.server().transmit(pair).Peek(entry)) {
        entries += entry.entries;
        EXPECT_FALSE(released) << "a frame behind the release";
        if (entry.control) {
          EXPECT_EQ(entry.message.type, static_cast<uint16_t>(channel::ControlType::kLeaseRelease));
          EXPECT_EQ(entry.message.port, port);
          released = true;
        } else {
          frames++;
        }
      }
      if (entries) {
        pairs_used++;
        EXPECT_TRUE(released);
        EXPECT_EQ(frames, 3u);  // 4008 bytes in fragments.
        (void)world_.server().transmit(pair).Commit(entries);
      }
    }
    EXPECT_EQ(pairs_used, 1);
  }
}

}  // namespace
}  // namespace librettos::guest
