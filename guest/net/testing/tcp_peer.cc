#include "guest/net/testing/tcp_peer.h"

#include <gtest/gtest.h>

#include "guest/net/headers.h"

namespace librettos::guest {

void TcpPeer::SendRaw(TcpSegment segment, const Offload& offload) {
  if (segment.source == 0) segment.source = port_;
  if (segment.destination == 0) segment.destination = guest_port;
  world_.Deliver(ipv6_ ? MakeTcp6(segment) : MakeTcp(segment), offload);
  world_.Turn();
}

void TcpPeer::Send(uint8_t flags, const std::string& payload) {
  SendRaw({0, 0, sequence, flags & kTcpAck ? acknowledged : 0, flags, window,
           flags & kTcpSyn ? syn_options : Bytes(), Text2Bytes(payload)});
  sequence += static_cast<uint32_t>(payload.size()) + ((flags & (kTcpSyn | kTcpFin)) ? 1 : 0);
}

std::vector<TcpSegment> TcpPeer::Take() {
  world_.Turn();
  std::vector<TcpSegment> segments;
  for (Frame& frame : world_.TakeSent()) {
    const Layout layout = Dissect(frame.bytes.data(), frame.bytes.size());
    if (layout.protocol != kProtocolTcp || layout.ipv6 != ipv6_) continue;
    EXPECT_TRUE(frame.offload.needs_checksum);
    // What is left is the sum of the pseudo-header.
    const auto bytes = static_cast<uint32_t>(frame.bytes.size() - layout.transport);
    EXPECT_EQ(Load16(&frame.bytes[layout.transport + 16]),
              Fold(PseudoSum(frame.bytes.data(), layout, bytes)));
    if (!ipv6_) {
      EXPECT_EQ(Fold(Sum(&frame.bytes[14], layout.transport - 14)), 0xffff) << "IPv4 header checksum";
    }
    TcpSegment segment = ParseTcp(frame.bytes);
    if (segment.destination == port_) segments.push_back(std::move(segment));
  }
  return segments;
}

TcpSegment TcpPeer::TakeOne() {
  auto segments = Take();
  EXPECT_EQ(segments.size(), 1u);
  return segments.empty() ? TcpSegment{} : segments[0];
}

void TcpPeer::Note(const TcpSegment& segment) {
  acknowledged = segment.sequence + static_cast<uint32_t>(segment.payload.size()) +
                 ((segment.flags & (kTcpSyn | kTcpFin)) ? 1 : 0);
}

void TcpPeer::ConnectTo(uint16_t to) {
  guest_port = to;
  Send(kTcpSyn);
  const TcpSegment answer = TakeOne();
  ASSERT_EQ(answer.flags, kTcpSyn | kTcpAck);
  ASSERT_EQ(answer.acknowledged, sequence);
  Note(answer);
  Send(kTcpAck);
}

void TcpPeer::Accept() {
  const TcpSegment syn = TakeOne();
  ASSERT_EQ(syn.flags, kTcpSyn);
  guest_port = syn.source;
  Note(syn);
  Send(kTcpSyn | kTcpAck);
  const TcpSegment answer = TakeOne();
  ASSERT_EQ(answer.flags, kTcpAck);
  ASSERT_EQ(answer.acknowledged, sequence);
}

}  // namespace librettos::guest
