// Checksums and segments made in software, by themselves and for a NIC without offloads.
#include "guest/net/segmentation.h"

#include <gtest/gtest.h>

#include <cstring>

#include "guest/net/headers.h"
#include "guest/net/testing/tcp_peer.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

constexpr uint8_t kUrgentless = kTcpAck, kCwr = 0x80, kEce = 0x40;

struct Collector : SegmentSink {
  void OnSegment(std::span<const std::byte> frame) override {
    frames.emplace_back(frame.begin(), frame.end());
  }
  std::vector<Bytes> frames;
};

bool ChecksumsAreGood(const Bytes& frame) {
  const Layout layout = Dissect(frame.data(), frame.size());
  const auto bytes = static_cast<uint32_t>(frame.size() - layout.transport);
  if (!layout.ipv6 && Fold(Sum(&frame[14], layout.transport - 14)) != 0xffff) return false;
  return Fold(Sum(&frame[layout.transport], bytes, PseudoSum(frame.data(), layout, bytes))) == 0xffff;
}

class SegmentationTest : public testing::TestWithParam<bool> {
 protected:
  bool ipv6() const { return GetParam(); }
  Bytes Large(size_t payload, uint8_t flags, const Bytes& options) {
    TcpSegment segment{1, 2, 0xfffffff0, 77, flags, 1234, options, Bytes(payload)};
    for (size_t i = 0; i < payload; i++) segment.payload[i] = static_cast<std::byte>(i * 91 >> 3);
    Bytes frame = ipv6() ? MakeTcp6(segment) : MakeTcp(segment);
    if (!ipv6()) {
      Store16(&frame[18], 0xfffe);  // The identification wraps.
      Store16(&frame[20], 0x4000);
    }
    return frame;
  }
  Offload LargeOffload(uint16_t bytes) {
    Offload offload;
    offload.needs_checksum = true;
    offload.segmentation = ipv6() ? Segmentation::kTcp6 : Segmentation::kTcp4;
    offload.segment_bytes = bytes;
    return offload;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, SegmentationTest, testing::Bool());

TEST_P(SegmentationTest, EachSegmentIsWhatTcpWouldHaveSent) {
  const Bytes timestamps = {std::byte{1}, std::byte{1}, std::byte{8}, std::byte{10},
                            std::byte{0}, std::byte{1}, std::byte{2}, std::byte{3},
                            std::byte{4}, std::byte{5}, std::byte{6}, std::byte{7}};
  for (const Bytes& options : {Bytes(), timestamps}) {
    const uint8_t flags = kUrgentless | kTcpFin | kTcpPsh | kCwr | kEce;
    Bytes frame = Large(5000, flags, options);
    const Bytes original = frame;
    const Layout layout = Dissect(frame.data(), frame.size());
    Bytes scratch(2000);
    Collector out;
    FinishInSoftware(frame, LargeOffload(1448), scratch, &out);
    ASSERT_EQ(out.frames.size(), 4u);
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
      const Bytes& piece = out.frames[i];
      const TcpSegment segment = ParseTcp(piece);
      EXPECT_EQ(segment.payload.size(), i < 3 ? 1448u : 5000u - 3 * 1448);
      EXPECT_TRUE(std::equal(segment.payload.begin(), segment.payload.end(),
                             original.begin() + static_cast<ptrdiff_t>(layout.header_bytes + at)));
      EXPECT_EQ(segment.sequence, 0xfffffff0 + static_cast<uint32_t>(at)) << "it wraps";
      EXPECT_EQ(segment.acknowledged, 77u);
      EXPECT_EQ(segment.window, 1234);
      EXPECT_EQ(segment.options, options);
      EXPECT_EQ(segment.flags & kTcpFin, i == 3 ? kTcpFin : 0);
      EXPECT_EQ(segment.flags & kTcpPsh, i == 3 ? kTcpPsh : 0);
      EXPECT_EQ(segment.flags & kCwr, i == 0 ? kCwr : 0);
      EXPECT_EQ(segment.flags & (kTcpAck | kEce), kTcpAck | kEce);
      EXPECT_TRUE(ChecksumsAreGood(piece)) << i;
      if (ipv6()) {
        EXPECT_EQ(Load16(&piece[18]), piece.size() - 54);
      } else {
        EXPECT_EQ(Load16(&piece[16]), piece.size() - 14);
        EXPECT_EQ(Load16(&piece[18]), static_cast<uint16_t>(0xfffe + i));
        EXPECT_EQ(Load16(&piece[20]), 0x4000);
      }
      EXPECT_TRUE(std::equal(piece.begin(), piece.begin() + 14, original.begin()));
      at += segment.payload.size();
    }
    EXPECT_EQ(at, 5000u);
  }
}

TEST_P(SegmentationTest, AWholeNumberOfSegmentsHasNoEmptyOne) {
  Bytes frame = Large(3000, kTcpAck, {});
  Bytes scratch(2000);
  Collector out;
  FinishInSoftware(frame, LargeOffload(1000), scratch, &out);
  ASSERT_EQ(out.frames.size(), 3u);
  for (const Bytes& piece : out.frames) EXPECT_TRUE(ChecksumsAreGood(piece));
}

TEST_P(SegmentationTest, WithoutSegmentationOnlyTheChecksumIsFinished) {
  Bytes frame = Large(1000, kTcpAck, {});
  const Bytes original = frame;
  Store16(&frame[Dissect(frame.data(), frame.size()).transport + 16], 0x4242);
  Offload offload;
  offload.needs_checksum = true;
  Collector out;
  FinishInSoftware(frame, offload, {}, &out);
  ASSERT_EQ(out.frames.size(), 1u);
  EXPECT_EQ(out.frames[0], original);
}

TEST_P(SegmentationTest, AUdpChecksumOfZeroIsSentAsOnes) {
  // The payload is chosen so that the sum comes out as zero.
  Bytes frame = ipv6() ? MakeUdp6(1, 2, Bytes(2)) : MakeUdp(1, 2, Bytes(2));
  const uint32_t transport = ipv6() ? 54 : 34;
  Store16(&frame[transport + 6], 0);
  const Layout layout{ipv6(), kProtocolUdp, transport, 0};
  Store16(&frame[transport + 8],
          static_cast<uint16_t>(~Fold(Sum(&frame[transport], 10, PseudoSum(frame.data(), layout, 10)))));
  Offload offload;
  offload.needs_checksum = true;
  Collector out;
  FinishInSoftware(frame, offload, {}, &out);
  ASSERT_EQ(out.frames.size(), 1u);
  EXPECT_EQ(Load16(&out.frames[0][transport + 6]), 0xffff);
}

TEST_P(SegmentationTest, AFinishedFrameComesThroughAsItIs) {
  Bytes frame = Large(1000, kTcpAck, {});
  const Bytes original = frame;
  Collector out;
  FinishInSoftware(frame, {}, {}, &out);
  ASSERT_EQ(out.frames.size(), 1u);
  EXPECT_EQ(out.frames[0], original);
}

// The guest drives a NIC without offloads that is often full: a stream arrives whole, in order and
// well-formed.
TEST_P(SegmentationTest, AStreamThroughANicWithoutOffloads) {
  fake::FakeNic nic(TestWorld::kGuestMac);
  nic.SetFeatures({});
  TestWorld world;
  world.TeachArp();
  world.TeachNd();
  int listener = sockets::Socket(sockets::Family::kIpv6, sockets::Type::kStream).value();
  ASSERT_TRUE(sockets::Bind(listener, sockets::Address::Any(sockets::Family::kIpv6, 80)).ok());
  ASSERT_TRUE(sockets::Listen(listener, 4).ok());
  TcpPeer peer(world, ipv6());
  peer.syn_options = {std::byte{2}, std::byte{4}, std::byte{5}, std::byte{0x78}};  // MSS 1400.
  peer.ConnectTo(80);
  const int socket = sockets::Accept(listener, nullptr).value();
  Interface& interface = world.stack().interface();
  interface.SetNic(&nic);
  interface.SetRoute(Route::kNic);

  Bytes data(200000);
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<std::byte>(i * 53 >> 4);
  ASSERT_EQ(sockets::Send(socket, data).value(), data.size());
  const uint32_t first = peer.acknowledged;
  size_t got = 0, frames = 0;
  for (int round = 0; round < 3000 && got < data.size(); round++) {
    nic.SetRoom(round % 3);  // Full in the middle of a large segment.
    world.Advance(1'000'000);
    for (auto& sent : nic.sent()) {
      ASSERT_LE(sent.bytes.size(), 1514u);
      EXPECT_FALSE(sent.offload.needs_checksum);
      EXPECT_EQ(sent.offload.segmentation, Segmentation::kNone);
      if (!IsTcp(sent.bytes)) continue;
      EXPECT_TRUE(ChecksumsAreGood(sent.bytes));
      const TcpSegment segment = ParseTcp(sent.bytes);
      if (segment.payload.empty()) continue;
      frames++;
      ASSERT_EQ(segment.sequence - first, got) << "in order, nothing lost";
      ASSERT_LE(segment.payload.size(), 1400u);
      ASSERT_TRUE(std::equal(segment.payload.begin(), segment.payload.end(),
                             data.begin() + static_cast<ptrdiff_t>(got)));
      got += segment.payload.size();
      peer.Note(segment);
    }
    nic.sent().clear();
    peer.Send(kTcpAck);
  }
  EXPECT_EQ(got, data.size());
  EXPECT_GE(frames, data.size() / 1400);
  EXPECT_EQ(interface.Get(Counter::k_tx_dropped), 0u);
  nic.SetRoom(SIZE_MAX);
  sockets::Close(socket);
  sockets::Close(listener);
  world.Turn();
  interface.SetRoute(Route::kChannel);
  interface.SetNic(nullptr);
}

}  // namespace
}  // namespace librettos::guest
