#include "guest/net/testing/test_world.h"

#include <gtest/gtest.h>

#include <cstring>

#include "guest/net/headers.h"

namespace librettos::guest {

TestWorld::TestWorld(const Options& options) {
  fake::FreezeClock();
  fake::FakePlatform* guest = world_.AddDomain(kGuest);
  guest->SetCpus(options.cpus);
  fake::FakePlatform* server = world_.AddDomain(kServer);
  world_.Write(Key("device/vif/0/mac"), "02:00:00:00:00:01");
  world_.Write(Key("device/vif/0/addresses"), "10.1.0.5/24 fd00::5/64");
  world_.Write(Key("device/vif/0/gateway4"), "10.1.0.1");
  world_.Write(Key("device/vif/0/mtu"), options.mtu);
  world_.Write(Key("device/vif/0/shared"), options.shared ? "1" : "0");
  world_.Write(Key("device/vif/0/queue-pairs"), std::to_string(options.queue_pairs));
  world_.Write(Key("device/vif/0/backend/2"), "1");
  EXPECT_TRUE(Stack::Start(*guest).ok());
  auto end = channel::ServerEnd::Create(*server, kGuest, "/local/domain/1/device/vif/0", this);
  EXPECT_TRUE(end.ok());
  end_ = *end;
  world_.RunUntilIdle();
  EXPECT_TRUE(connected_);
  if (options.activate) {
    EXPECT_EQ(end_->Activate(1), channel::Violation::kNone);
    world_.RunUntilIdle();
    Turn();
    TakeSent();
  }
}

TestWorld::~TestWorld() {
  if (mapping_) mapping_->Unmap();
  Stack::Stop();
  delete end_;
  fake::ThawClock();
}

void TestWorld::ReplaceServer(DomainId id) {
  world_.Remove(Key("device/vif/0/backend/" + std::to_string(server_)));
  delete end_;
  world_.KillDomain(server_);
  server_ = id;
  fake::FakePlatform* server = world_.AddDomain(id);
  world_.Write(Key("device/vif/0/backend/" + std::to_string(id)), "1");
  end_ = channel::ServerEnd::Create(*server, kGuest, "/local/domain/1/device/vif/0", this).value();
  Turn();
}

std::byte* TestWorld::MapChannel() {
  const std::string ring =
      world_.Read(Key("device/vif/0/frontend/" + std::to_string(server_) + "/ring")).value_or("0");
  if (mapping_) mapping_->Unmap();
  mapping_ = nullptr;
  static_cast<Platform*>(world_.domain(server_))
      ->Map(kGuest, static_cast<GrantRef>(std::stoul(ring)), end_->geometry().total_bytes(), true, this);
  world_.RunUntilIdle();
  return mapping_->bytes().data();
}

void TestWorld::Turn(int times) {
  for (int i = 0; i < times; i++) {
    stack().Turn(0);
    world_.RunUntilIdle();
  }
}

void TestWorld::Advance(Nanoseconds by) {
  fake::AdvanceClock(by);
  Turn(1);
}

std::vector<Frame> TestWorld::TakeSent(bool commit) {
  std::vector<Frame> frames;
  for (uint32_t pair = 0; end_->active() && pair < end_->geometry().queue_pairs; pair++) {
    for (Frame& frame : TakeSentBy(pair, commit)) frames.push_back(std::move(frame));
  }
  return frames;
}

std::vector<Frame> TestWorld::TakeSentBy(uint32_t pair, bool commit) {
  std::vector<Frame> frames;
  auto& ring = end_->transmit(pair);
  channel::Received received;
  uint32_t entries = 0;
  while (ring.Peek(received)) {
    entries += received.entries;
    if (received.control) {
      if (commit) controls_.push_back(received.message);
      continue;
    }
    Frame frame{Bytes(received.length), received.offload};
    received.CopyTo(frame.bytes.data());
    frames.push_back(std::move(frame));
  }
  EXPECT_EQ(ring.violation(), channel::Violation::kNone);
  if (!commit) {
    ring.Rewind();
  } else if (entries > 0 && ring.Commit(entries)) {
    end_->Signal(pair);
  }
  return frames;
}

void TestWorld::Deliver(const Bytes& frame, const Offload& offload) {
  Part part{frame.data(), static_cast<uint32_t>(frame.size())};
  ASSERT_TRUE(end_->receive(0).Put({{&part, 1}, part.length, offload}).ok());
  if (end_->receive(0).Publish()) end_->Signal(0);
}

void TestWorld::DeliverControl(const channel::ControlMessage& message) {
  ASSERT_TRUE(end_->receive(0).PutControl(message).ok());
  if (end_->receive(0).Publish()) end_->Signal(0);
}

void TestWorld::TeachArp() {
  Bytes frame(60);
  std::memcpy(frame.data(), kGuestMac.data(), 6);
  std::memcpy(frame.data() + 6, kPeerMac.data(), 6);
  Store16(&frame[12], 0x0806);
  Store16(&frame[14], 1);
  Store16(&frame[16], 0x0800);
  frame[18] = std::byte{6};
  frame[19] = std::byte{4};
  Store16(&frame[20], 1);
  std::memcpy(&frame[22], kPeerMac.data(), 6);
  Store32(&frame[28], kPeerIp);
  Store32(&frame[38], kGuestIp);
  Deliver(frame);
  Turn();
  TakeSent();
}

void TestWorld::TeachNd() {
  Bytes solicitation(32);
  solicitation[0] = std::byte{135};
  std::memcpy(&solicitation[8], kGuestIp6.data(), 16);
  solicitation[24] = solicitation[25] = std::byte{1};
  std::memcpy(&solicitation[26], kPeerMac.data(), 6);
  Deliver(MakeIp6Summed(kProtocolIcmp6, solicitation, 2, 255));
  Turn();
  TakeSent();
}

Bytes MakeIp4(uint8_t protocol, const Bytes& payload, Fragment4 fragment, const MacAddress& to) {
  Bytes frame(34 + payload.size());
  std::memcpy(frame.data(), to.data(), 6);
  std::memcpy(frame.data() + 6, TestWorld::kPeerMac.data(), 6);
  Store16(&frame[12], 0x0800);
  frame[14] = std::byte{0x45};
  Store16(&frame[16], static_cast<uint16_t>(20 + payload.size()));
  Store16(&frame[18], fragment.id);
  Store16(&frame[20], fragment.word);
  frame[22] = std::byte{64};
  frame[23] = std::byte{protocol};
  Store32(&frame[26], TestWorld::kPeerIp);
  Store32(&frame[30], TestWorld::kGuestIp);
  Store16(&frame[24], static_cast<uint16_t>(~Fold(Sum(&frame[14], 20))));
  std::copy(payload.begin(), payload.end(), frame.begin() + 34);
  return frame;
}

Bytes MakeIp6(uint8_t next, const Bytes& payload, uint8_t hop_limit) {
  Bytes frame(54 + payload.size());
  std::memcpy(frame.data(), TestWorld::kGuestMac.data(), 6);
  std::memcpy(frame.data() + 6, TestWorld::kPeerMac.data(), 6);
  Store16(&frame[12], kEtherIpv6);
  frame[14] = std::byte{0x60};
  Store16(&frame[18], static_cast<uint16_t>(payload.size()));
  frame[20] = std::byte{next};
  frame[21] = std::byte{hop_limit};
  std::memcpy(&frame[22], kPeerIp6.data(), 16);
  std::memcpy(&frame[38], kGuestIp6.data(), 16);
  std::copy(payload.begin(), payload.end(), frame.begin() + 54);
  return frame;
}

Bytes MakeIp6Summed(uint8_t next, Bytes payload, size_t field, uint8_t hop_limit) {
  Store16(&payload[field], 0);
  Bytes frame = MakeIp6(next, payload, hop_limit);
  const auto bytes = static_cast<uint32_t>(payload.size());
  const Layout layout{true, next, 54, 0};
  Store16(&frame[54 + field],
          static_cast<uint16_t>(~Fold(Sum(&frame[54], bytes, PseudoSum(frame.data(), layout, bytes)))));
  return frame;
}

Bytes MakeUdp6(uint16_t source, uint16_t destination, const Bytes& payload) {
  Bytes udp(8);
  Store16(&udp[0], source);
  Store16(&udp[2], destination);
  Store16(&udp[4], static_cast<uint16_t>(8 + payload.size()));
  udp.insert(udp.end(), payload.begin(), payload.end());
  return MakeIp6Summed(kProtocolUdp, udp, 6);
}

Bytes MakeIcmpError(uint8_t type, uint8_t code, uint32_t rest, const Bytes& quoted) {
  Bytes icmp(8);
  icmp[0] = std::byte{type};
  icmp[1] = std::byte{code};
  Store32(&icmp[4], rest);
  icmp.insert(icmp.end(), quoted.begin(), quoted.end());
  if (Load8(&quoted[0]) >> 4 == 6) return MakeIp6Summed(kProtocolIcmp6, icmp, 2);
  Store16(&icmp[2], static_cast<uint16_t>(~Fold(Sum(icmp.data(), icmp.size()))));
  return MakeIp4(kProtocolIcmp, icmp);
}

static Bytes TcpBytes(const TcpSegment& segment) {
  Bytes tcp(20);
  Store16(&tcp[0], segment.source);
  Store16(&tcp[2], segment.destination);
  Store32(&tcp[4], segment.sequence);
  Store32(&tcp[8], segment.acknowledged);
  tcp[12] = static_cast<std::byte>((5 + segment.options.size() / 4) << 4);
  tcp[13] = std::byte{segment.flags};
  Store16(&tcp[14], segment.window);
  tcp.insert(tcp.end(), segment.options.begin(), segment.options.end());
  tcp.insert(tcp.end(), segment.payload.begin(), segment.payload.end());
  return tcp;
}

Bytes MakeTcp(const TcpSegment& segment, const MacAddress& to) {
  Bytes frame = MakeIp4(6, TcpBytes(segment), {}, to);
  Layout layout = Dissect(frame.data(), frame.size());
  auto bytes = static_cast<uint32_t>(frame.size() - 34);
  Store16(&frame[34 + 16],
          static_cast<uint16_t>(~Fold(Sum(&frame[34], bytes, PseudoSum(frame.data(), layout, bytes)))));
  return frame;
}

Bytes MakeTcp6(const TcpSegment& segment) { return MakeIp6Summed(kProtocolTcp, TcpBytes(segment), 16); }

Bytes MakeUdp(uint16_t source, uint16_t destination, const Bytes& payload, const MacAddress& to) {
  Bytes udp(8 + payload.size());
  Store16(&udp[0], source);
  Store16(&udp[2], destination);
  Store16(&udp[4], static_cast<uint16_t>(udp.size()));
  std::copy(payload.begin(), payload.end(), udp.begin() + 8);
  return MakeIp4(17, udp, {}, to);
}

bool IsTcp(const Bytes& frame) { return Dissect(frame.data(), frame.size()).protocol == kProtocolTcp; }

TcpSegment ParseTcp(const Bytes& frame) {
  Layout layout = Dissect(frame.data(), frame.size());
  const std::byte* tcp = frame.data() + layout.transport;
  TcpSegment segment;
  segment.source = Load16(tcp);
  segment.destination = Load16(tcp + 2);
  segment.sequence = Load32(tcp + 4);
  segment.acknowledged = Load32(tcp + 8);
  segment.flags = Load8(tcp + 13);
  segment.window = Load16(tcp + 14);
  segment.options.assign(frame.begin() + layout.transport + 20, frame.begin() + layout.header_bytes);
  segment.payload.assign(frame.begin() + layout.header_bytes, frame.end());
  return segment;
}

Bytes Text2Bytes(const std::string& text) {
  Bytes bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

}  // namespace librettos::guest
