#include "drivers/net/testing/nic_conformance.h"

#include <algorithm>
#include <cstring>

namespace librettos::fake {

void NicConformance::SetUp() {
  bench_ = GetParam().make();
  if (!bench_->missing().empty()) GTEST_SKIP() << bench_->missing();
  ASSERT_EQ(bench_->Complaints(), "");
}

void NicConformance::TearDown() {
  nic_.reset();
  EXPECT_EQ(bench_->Complaints(), "");
}

void NicConformance::Open(uint32_t mtu) {
  Result<Nic*> nic = bench_->Open(kAddress, mtu);
  ASSERT_TRUE(nic.ok()) << ToString(nic.error());
  nic_.reset(*nic);
}

bool NicConformance::Transmit(const Frame& frame, const Offload& offload) {
  const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
  const OutFrame out{{&part, 1}, part.length, offload};
  return nic_->Transmit({&out, 1}) == 1;
}

std::vector<Frame> NicConformance::ReceiveAll() {
  std::vector<Frame> all;
  for (;;) {
    std::array<InFrame, 8> frames;
    for (size_t i = 0; i < frames.size(); ++i)
      frames[i].buffer = std::span(buffer_).subspan(i * (kMaxFrameBytes + 1), kMaxFrameBytes + 1);
    const size_t got = nic_->Receive(frames);
    for (size_t i = 0; i < got; ++i) {
      all.emplace_back(frames[i].buffer.begin(), frames[i].buffer.begin() + frames[i].length);
      last_offload_ = frames[i].offload;
    }
    if (got < frames.size()) return all;
  }
}

std::vector<Frame> NicConformance::Received(size_t wanted) {
  bench_->Sync();
  std::vector<Frame> all = ReceiveAll();
  const Nanoseconds until = Now() + bench_->patience();
  while (all.size() < wanted && Now() < until) {
    for (Frame& frame : ReceiveAll()) all.push_back(std::move(frame));
  }
  return all;
}

std::vector<Frame> NicConformance::Sent(size_t wanted) {
  std::vector<Frame> all = bench_->TakeSent();
  const Nanoseconds until = Now() + bench_->patience();
  while (all.size() < wanted && Now() < until) {
    for (Frame& frame : bench_->TakeSent()) all.push_back(std::move(frame));
  }
  return all;
}

void NicConformance::WarmUp() {
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_TRUE(Transmit(PlainFrame(kPeer, 100, 1)));
  EXPECT_EQ(Received(1).size(), 1u);
  EXPECT_EQ(Sent(1).size(), 1u);
  Settle();
}

std::vector<Frame> NicConformance::SentSegments(const Frame& whole, uint32_t segment_bytes) {
  return Sent(Segments(whole, segment_bytes).size());
}

void NicConformance::ExpectRefused(uint16_t segment_bytes) {
  Frame frame = TcpFrame(kPeer, {.payload = segment_bytes ? 5000u : 500u});
  const Offload offload = MakePartial(frame, segment_bytes);
  EXPECT_TRUE(Transmit(frame, offload));
  EXPECT_EQ(nic_->counters().tx_errors, 1u);
  EXPECT_TRUE(Sent(0).empty());
}

void NicConformance::Settle(int rounds) {
  while (rounds-- > 0 && bench_->Wait()) continue;
}

namespace {

// What was sent may come out padded.
bool SameFrame(const Frame& sent, const Frame& got) {
  return got.size() >= sent.size() && (got.size() == sent.size() || got.size() == 60) &&
         std::equal(sent.begin(), sent.end(), got.begin());
}

TEST_P(NicConformance, HasTheAddressAndMtuItWasGiven) {
  ASSERT_NO_FATAL_FAILURE(Open(1400));
  EXPECT_EQ(nic_->address(), kAddress);
  EXPECT_EQ(nic_->mtu(), 1400u);
}

TEST_P(NicConformance, SendsFramesOfAllSizesAsTheyAre) {
  ASSERT_NO_FATAL_FAILURE(Open());
  for (uint32_t length : {14u, 15u, 42u, 59u, 60u, 61u, 64u, 1500u, 1513u, 1514u}) {
    const Frame frame = PlainFrame(kPeer, length, 1);
    ASSERT_TRUE(Transmit(frame)) << length;
    const std::vector<Frame> sent = Sent(1);
    ASSERT_EQ(sent.size(), 1u) << length;
    EXPECT_TRUE(SameFrame(frame, sent[0])) << length;
  }
  EXPECT_EQ(nic_->counters().tx_frames, 10u);
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
}

TEST_P(NicConformance, SendsJumboFrames) {
  ASSERT_NO_FATAL_FAILURE(Open(9000));
  for (uint32_t length : {1515u, 2048u, 4084u, 4085u, 4096u, 4097u, 8192u, 9014u}) {
    const Frame frame = PlainFrame(kPeer, length, 2);
    ASSERT_TRUE(Transmit(frame)) << length;
    const std::vector<Frame> sent = Sent(1);
    ASSERT_EQ(sent.size(), 1u) << length;
    EXPECT_TRUE(SameFrame(frame, sent[0])) << length;
  }
}

TEST_P(NicConformance, GathersParts) {
  ASSERT_NO_FATAL_FAILURE(Open(9000));
  const Frame frame = PlainFrame(kPeer, 9014, 3);
  std::vector<Part> parts;
  for (uint32_t at = 0, size = 1; at < frame.size(); size = size * 2 + 1) {
    const uint32_t length = std::min<uint32_t>(size, static_cast<uint32_t>(frame.size()) - at);
    parts.push_back({frame.data() + at, length});
    parts.push_back({frame.data() + at, 0});  // Nothing is a part, too.
    at += length;
  }
  const OutFrame out{parts, static_cast<uint32_t>(frame.size()), {}};
  ASSERT_EQ(nic_->Transmit({&out, 1}), 1u);
  const std::vector<Frame> sent = Sent(1);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(SameFrame(frame, sent[0]));
}

TEST_P(NicConformance, FramesAreTakenWhenTransmitReturns) {
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetHold(true);
  Frame frame = PlainFrame(kPeer, 1000, 4);
  const Frame original = frame;
  ASSERT_TRUE(Transmit(frame));
  std::fill(frame.begin(), frame.end(), std::byte{0});
  bench_->SetHold(false);
  const std::vector<Frame> sent = Sent(1);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(SameFrame(original, sent[0]));
}

TEST_P(NicConformance, RefusesWhatIsNoFrameOrTooLong) {
  ASSERT_NO_FATAL_FAILURE(Open());
  const Frame frame = PlainFrame(kPeer, 2000, 5);
  const Part part{frame.data(), 100};
  const OutFrame bad[] = {
      {{&part, 1}, 99, {}},   // Not the sum of the parts.
      {{&part, 1}, 101, {}},  //
      {{}, 0, {}},            // Nothing.
      {{&part, 1}, 100, {.needs_checksum = true, .checksum_start = 14, .checksum_offset = 90}}};
  for (const OutFrame& out : bad) EXPECT_EQ(nic_->Transmit({&out, 1}), 1u);
  EXPECT_TRUE(Transmit(frame));  // Beyond the MTU.
  EXPECT_TRUE(Transmit(Frame(13)));
  EXPECT_EQ(nic_->counters().tx_errors, 6u);
  EXPECT_EQ(nic_->counters().tx_frames, 6u);
  EXPECT_TRUE(Sent(0).empty());
  EXPECT_TRUE(Transmit(PlainFrame(kPeer, 100, 6)));
  EXPECT_EQ(Sent(1).size(), 1u);
}

TEST_P(NicConformance, KeepsOrder) {
  ASSERT_NO_FATAL_FAILURE(Open());
  uint32_t sent = 0;
  std::vector<Frame> wire;
  for (int round = 0; round < 100; ++round) {
    std::vector<Frame> frames;
    std::vector<Part> parts;
    for (uint32_t i = 0; i < 32; ++i) {
      frames.push_back(PlainFrame(kPeer, 64 + (sent + i) % 1400, 0));
      Put32(frames.back(), 20, sent + i);
    }
    for (const Frame& frame : frames) parts.push_back({frame.data(), static_cast<uint32_t>(frame.size())});
    std::vector<OutFrame> out;
    for (const Part& part : parts) out.push_back({{&part, 1}, part.length, {}});
    const size_t taken = nic_->Transmit(out);
    ASSERT_EQ(taken, out.size());
    sent += static_cast<uint32_t>(taken);
    for (Frame& frame : bench_->TakeSent()) wire.push_back(std::move(frame));
  }
  for (Frame& frame : Sent(sent - wire.size())) wire.push_back(std::move(frame));
  ASSERT_EQ(wire.size(), sent);
  for (uint32_t i = 0; i < sent; ++i) ASSERT_EQ(Get32(wire[i], 20), i);
}

TEST_P(NicConformance, ComputesChecksums) {
  ASSERT_NO_FATAL_FAILURE(Open());
  if (!nic_->features().checksum) return ExpectRefused(0);
  for (const TcpSpec& spec :
       {TcpSpec{.payload = 1}, TcpSpec{.payload = 0, .tcp_options = 12},
        TcpSpec{.payload = 1001, .ip_options = 8}, TcpSpec{.ip6 = true, .payload = 77, .tcp_options = 40}}) {
    Frame frame = TcpFrame(kPeer, spec);
    const Frame original = frame;
    const Offload offload = MakePartial(frame);
    ASSERT_TRUE(Transmit(frame, offload));
    const std::vector<Frame> sent = Sent(1);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(SameFrame(original, sent[0])) << Wrong(sent[0]);
  }
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
}

TEST_P(NicConformance, Segments) {
  ASSERT_NO_FATAL_FAILURE(Open());
  if (!nic_->features().segmentation) return ExpectRefused(1400);
  for (bool ip6 : {false, true}) {
    const uint32_t longest = 65535 - 14 - (ip6 ? 40 : 20) - 20;
    for (uint32_t payload : {1401u, 2800u, 2801u, 4096u, 20000u, longest}) {
      Frame frame = TcpFrame(kPeer, {.ip6 = ip6, .payload = payload, .fin_psh = true});
      const Frame whole = frame;
      const Offload offload = MakePartial(frame, 1400);
      ASSERT_TRUE(Transmit(frame, offload));
      EXPECT_EQ(WrongSegments(whole, SentSegments(whole, 1400), 1400), "") << ip6 << " " << payload;
    }
  }
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
}

TEST_P(NicConformance, SegmentsWithOptionsInScatteredParts) {
  ASSERT_NO_FATAL_FAILURE(Open());
  if (!nic_->features().segmentation) GTEST_SKIP() << "not with this device";
  Frame frame = TcpFrame(kPeer, {.payload = 10000, .ip_options = 40, .tcp_options = 40});
  const Frame whole = frame;
  Offload offload = MakePartial(frame, 536);
  offload.header_bytes = 3;  // A hint that is wrong.
  std::vector<Part> parts;
  for (uint32_t at = 0; at < frame.size(); at += 37)
    parts.push_back({frame.data() + at, std::min<uint32_t>(37, static_cast<uint32_t>(frame.size()) - at)});
  const OutFrame out{parts, static_cast<uint32_t>(frame.size()), offload};
  ASSERT_EQ(nic_->Transmit({&out, 1}), 1u);
  EXPECT_EQ(WrongSegments(whole, SentSegments(whole, 536), 536), "");
}

TEST_P(NicConformance, OneSegmentIsAFrame) {
  ASSERT_NO_FATAL_FAILURE(Open());
  if (!nic_->features().segmentation) GTEST_SKIP() << "not with this device";
  Frame frame = TcpFrame(kPeer, {.payload = 1400});
  const Frame whole = frame;
  ASSERT_TRUE(Transmit(frame, MakePartial(frame, 1400)));
  EXPECT_EQ(WrongSegments(whole, SentSegments(whole, 1400), 1400), "");
}

TEST_P(NicConformance, ReceivesFramesOfAllSizesAsTheyAre) {
  ASSERT_NO_FATAL_FAILURE(Open());
  for (uint32_t length : {60u, 61u, 64u, 1500u, 1513u, 1514u}) {
    const Frame frame = PlainFrame(kAddress, length, 1);
    bench_->Deliver(frame);
    const std::vector<Frame> got = Received(1);
    ASSERT_EQ(got.size(), 1u) << length;
    EXPECT_EQ(got[0], frame) << length;
  }
  EXPECT_EQ(nic_->counters().rx_frames, 6u);
  EXPECT_EQ(nic_->counters().rx_errors, 0u);
}

TEST_P(NicConformance, ReceivesJumboFrames) {
  ASSERT_NO_FATAL_FAILURE(Open(9000));
  for (uint32_t length : {1515u, 2047u, 2048u, 2049u, 4084u, 4085u, 4096u, 9014u}) {
    const Frame frame = PlainFrame(kAddress, length, 2);
    bench_->Deliver(frame);
    const std::vector<Frame> got = Received(1);
    ASSERT_EQ(got.size(), 1u) << length;
    EXPECT_EQ(got[0], frame) << length;
  }
}

TEST_P(NicConformance, DropsFramesThatTheBufferCannotHold) {
  ASSERT_NO_FATAL_FAILURE(Open(9000));
  bench_->Deliver(PlainFrame(kAddress, 9014, 3));
  bench_->Deliver(PlainFrame(kAddress, 1514, 4));
  bench_->Sync();
  InFrame frame{.buffer = std::span(buffer_).first(1518), .offload = {}};
  EXPECT_EQ(nic_->Receive({&frame, 1}), 1u);
  EXPECT_EQ(frame.length, 1514u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
}

TEST_P(NicConformance, ReceivesFarMoreThanTheRingHoldsInOrder) {
  ASSERT_NO_FATAL_FAILURE(Open());
  uint32_t sent = 0, got = 0;
  for (int round = 0; round < 40; ++round) {
    for (uint32_t i = 0; i < 100; ++i) {
      Frame frame = PlainFrame(kAddress, 64 + sent % 1400, 0);
      Put32(frame, 20, sent++);
      bench_->Deliver(frame);
    }
    for (const Frame& frame : Received(100)) ASSERT_EQ(Get32(frame, 20), got++);
  }
  EXPECT_EQ(got, sent);
}

TEST_P(NicConformance, ReceivesInRoundsOfAllSizes) {
  ASSERT_NO_FATAL_FAILURE(Open());
  for (uint32_t size = 1; size <= 40; ++size) {
    for (uint32_t i = 0; i < size; ++i) bench_->Deliver(PlainFrame(kAddress, 100, 1));
    ASSERT_EQ(Received(size).size(), size);
  }
}

TEST_P(NicConformance, ReceivesABurstLargerThanTheRing) {
  ASSERT_NO_FATAL_FAILURE(Open());
  for (uint32_t i = 0; i < 1000; ++i) {
    Frame frame = PlainFrame(kAddress, 64, 0);
    Put32(frame, 20, i);
    bench_->Deliver(frame);
  }
  uint32_t got = 0;
  for (int round = 0; round < 100 && got < 1000; ++round) {
    for (const Frame& frame : Received(1)) ASSERT_EQ(Get32(frame, 20), got++);
  }
  EXPECT_EQ(got, 1000u);
}

TEST_P(NicConformance, BelievesNoChecksumThatTheDeviceDidNotCheck) {
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  ASSERT_EQ(Received(1).size(), 1u);
  EXPECT_FALSE(last_offload_.checksum_valid);
  Frame frame = TcpFrame(kAddress, {.payload = 100});
  frame[80] ^= std::byte{1};
  bench_->Deliver(frame);
  ASSERT_EQ(Received(1).size(), 1u);
  EXPECT_FALSE(last_offload_.checksum_valid);
}

}  // namespace
}  // namespace librettos::fake
