// A scripted peer that loses segments inside of large ones: the guest's data must arrive whole, and no
// connection may hang, however the losses fall.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

std::byte Pattern(size_t at) { return static_cast<std::byte>((at * 131) >> 3); }

class TcpLossTest : public testing::TestWithParam<int> {
 protected:
  TcpLossTest() : random_(static_cast<unsigned>(GetParam())) { world_.TeachArp(); }

  // The peer accepts the guest's connection, with window scale 7.
  void Open() {
    socket_ = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kStream).value();
    ASSERT_EQ(sockets::Connect(socket_, sockets::Address::Parse("10.1.0.1", 80).value()).error(),
              Error::kAgain);
    world_.Turn();
    for (auto& frame : world_.TakeSent()) {
      if (!IsTcp(frame.bytes)) continue;
      auto syn = ParseTcp(frame.bytes);
      ASSERT_EQ(syn.flags, kTcpSyn);
      ASSERT_EQ(Load32(syn.options.data()), 0x020405b4u);  // MSS 1460: clamped to the MTU.
      port_ = syn.source;
      first_ = expected_ = syn.sequence + 1;
    }
    ASSERT_NE(port_, 0);
    Bytes options = {
        std::byte{2}, std::byte{4}, std::byte{0x23}, std::byte{0}, std::byte{1},
        std::byte{3}, std::byte{3}, std::byte{7}};  // MSS 8960, which the path does not take; scale 7.
    world_.Deliver(MakeTcp({80, port_, sequence_++, expected_, kTcpSyn | kTcpAck, 0xffff, options, {}}));
    world_.Turn();
    world_.TakeSent();
  }
  void Acknowledge() { world_.Deliver(MakeTcp({80, port_, sequence_, expected_, kTcpAck, window_, {}, {}})); }
  // Takes what the guest sent, cut at the segment size as a NIC would, and loses pieces.
  void Take(double loss) {
    for (auto& frame : world_.TakeSent()) {
      if (!IsTcp(frame.bytes)) continue;
      auto segment = ParseTcp(frame.bytes);
      if (segment.payload.empty()) continue;
      size_t step = segment.payload.size();
      if (frame.offload.segmentation == Segmentation::kTcp4) {
        ASSERT_EQ(frame.offload.segment_bytes, 1460);
        large_++;
        step = 1460;
      }
      ASSERT_LE(step, 1460u);
      ASSERT_TRUE(frame.offload.needs_checksum);
      for (size_t at = 0; at < segment.payload.size(); at += step) {
        size_t bytes = std::min(step, segment.payload.size() - at);
        if (std::uniform_real_distribution<>()(random_) < loss) continue;
        uint32_t offset = segment.sequence + static_cast<uint32_t>(at) - first_;
        for (size_t i = 0; i < bytes; i++)
          ASSERT_EQ(segment.payload[at + i], Pattern(offset + i)) << offset + i;
        auto& known = got_[offset];
        known = std::max(known, bytes);
        while (!got_.empty() && got_.begin()->first <= expected_ - first_) {
          auto [start, size] = *got_.begin();
          expected_ = std::max<uint32_t>(expected_ - first_, start + static_cast<uint32_t>(size)) + first_;
          got_.erase(got_.begin());
        }
        if (std::uniform_real_distribution<>()(random_) >= loss) Acknowledge();
        if (++acknowledged_ % 32 == 0) world_.Turn(1);
      }
    }
  }
  void SendAll(size_t total, double loss, int max_rounds) {
    size_t sent = 0;
    int round = 0;
    for (; round < max_rounds && (sent < total || expected_ - first_ < total); round++) {
      Bytes block(std::min<size_t>(100000, total - sent));
      for (size_t i = 0; i < block.size(); i++) block[i] = Pattern(sent + i);
      if (!block.empty()) {
        auto n = sockets::Send(socket_, block);
        if (n.ok()) sent += *n;
      }
      world_.Advance(5'000'000);
      Take(loss);
      world_.Turn(2);
      sockets::PollItem item{socket_, 0, 0};
      ASSERT_EQ(sockets::Poll({&item, 1}, 0), 0u) << "the connection died in round " << round;
    }
    EXPECT_EQ(expected_ - first_, total) << "after " << round << " rounds";
  }

  TestWorld world_;
  std::mt19937 random_;
  int socket_ = -1;
  uint16_t port_ = 0;
  uint16_t window_ = 0x2000;  // 1 MiB, scaled.
  uint32_t sequence_ = 1000, first_ = 0, expected_ = 0;
  int large_ = 0, acknowledged_ = 0;
  std::map<uint32_t, size_t> got_;
};

TEST_P(TcpLossTest, NothingLostGoesOutInLargeSegments) {
  Open();
  SendAll(4 << 20, 0, 400);
  EXPECT_GT(large_, 30);
  sockets::Close(socket_);
}

TEST_P(TcpLossTest, OnePercent) {
  Open();
  SendAll(2 << 20, 0.01, 20000);
  sockets::Close(socket_);
}

TEST_P(TcpLossTest, TwentyPercent) {
  Open();
  SendAll(200000, 0.2, 20000);
  sockets::Close(socket_);
}

TEST_P(TcpLossTest, ABlackHoleAndBack) {
  Open();
  SendAll(300000, 0, 400);
  Bytes more(400000);
  size_t done = expected_ - first_;
  for (size_t i = 0; i < more.size(); i++) more[i] = Pattern(done + i);
  ASSERT_EQ(*sockets::Send(socket_, more), more.size());
  for (int i = 0; i < 400; i++) {
    world_.Advance(5'000'000);
    Take(1.0);
  }
  for (int i = 0; i < 4000 && expected_ - first_ < done + more.size(); i++) {
    world_.Advance(5'000'000);
    Take(0);
  }
  EXPECT_EQ(expected_ - first_, done + more.size());
  sockets::Close(socket_);
}

TEST_P(TcpLossTest, AClosedWindowOpensAgain) {
  Open();
  window_ = 0;
  Acknowledge();
  world_.Turn();
  Bytes data(100000);
  for (size_t i = 0; i < data.size(); i++) data[i] = Pattern(i);
  ASSERT_EQ(*sockets::Send(socket_, data), data.size());
  for (int i = 0; i < 200; i++) {
    world_.Advance(20'000'000);
    for (auto& frame : world_.TakeSent()) {
      if (!IsTcp(frame.bytes)) continue;
      EXPECT_LE(ParseTcp(frame.bytes).payload.size(), 1u);
    }
    if (i % 20 == 0) Acknowledge();
  }
  window_ = 10;  // 1280 bytes: less than a segment.
  for (int i = 0; i < 400 && expected_ - first_ < 5000; i++) {
    Acknowledge();
    world_.Advance(50'000'000);
    Take(0);
  }
  EXPECT_GE(expected_ - first_, 5000u);
  window_ = 0x2000;
  Acknowledge();
  for (int i = 0; i < 1000 && expected_ - first_ < data.size(); i++) {
    world_.Advance(10'000'000);
    Take(0);
  }
  EXPECT_EQ(expected_ - first_, data.size());
  sockets::Close(socket_);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TcpLossTest, testing::Range(0, 20));

}  // namespace
}  // namespace librettos::guest
