// A guest's stack in a fake world, with a scripted network server at the other end of its channel: the test
// sees the frames that the guest sends and gives it frames. The clock is frozen and moved by the test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/net/testing/fake_nic.h"
#include "guest/channel/server_end.h"
#include "guest/net/stack.h"
#include "guest/platform/testing/fake_platform.h"

namespace librettos::guest {

using Bytes = std::vector<std::byte>;

struct Frame {
  Bytes bytes;
  Offload offload;
};

class TestWorld : private channel::ServerEndObserver, private MapObserver {
 public:
  struct Options {
    bool shared = false;
    std::string mtu = "1500";
    bool activate = true;
    uint32_t queue_pairs = 1;
    unsigned cpus = 1;
  };
  TestWorld() : TestWorld(Options()) {}
  explicit TestWorld(const Options& options);
  ~TestWorld();

  static constexpr DomainId kGuest = 1, kServer = 2;
  static constexpr uint32_t kGuestIp = 0x0a010005, kPeerIp = 0x0a010001;
  static constexpr MacAddress kGuestMac = {2, 0, 0, 0, 0, 1}, kPeerMac = {2, 0, 0, 0, 0, 9};

  Stack& stack() { return *Stack::instance(); }
  fake::FakeWorld& world() { return world_; }
  channel::ServerEnd& server() { return *end_; }
  // The server is replaced by domain `id`, with an end of its own that is not yet active.
  void ReplaceServer(DomainId id);
  std::string Key(const std::string& below) const { return "/local/domain/1/" + below; }
  std::string DataMode() { return world_.Read(Key("data/mode")).value_or(""); }

  void Turn(int times = 4);
  void Advance(Nanoseconds by);
  // Frames the guest sent through the channel and that the server hands on now. `commit` false: they are
  // looked at and stay unconsumed in the ring.
  std::vector<Frame> TakeSent(bool commit = true);
  // The same, of one queue pair.
  std::vector<Frame> TakeSentBy(uint32_t pair, bool commit = true);
  std::vector<channel::ControlMessage>& controls() { return controls_; }
  void Deliver(const Bytes& frame, const Offload& offload = {.checksum_valid = true});
  // Bytes of the channel as the server has them mapped; for servers that break the rules.
  std::byte* MapChannel();
  void DeliverControl(const channel::ControlMessage& message);
  // Makes the guest know the peer's MAC without asking: by ARP, by neighbour discovery.
  void TeachArp();
  void TeachNd();

 private:
  void OnConnected(channel::ServerEnd*) override { connected_ = true; }
  void OnChannelEvent(channel::ServerEnd*) override {}
  void OnMapped(Result<Mapping*> mapping) override { mapping_ = mapping.ok() ? *mapping : nullptr; }
  fake::FakeWorld world_;
  DomainId server_ = kServer;
  Mapping* mapping_ = nullptr;
  channel::ServerEnd* end_ = nullptr;
  bool connected_ = false;
  std::vector<channel::ControlMessage> controls_;
};

// Frames of the scripted peer, to the guest.
using Ip6 = std::array<uint8_t, 16>;
inline constexpr Ip6 kGuestIp6 = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
inline constexpr Ip6 kPeerIp6 = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

// Identification and the word of flags and offset, of a fragment.
struct Fragment4 {
  uint16_t id = 0;
  uint16_t word = 0;
};
Bytes MakeIp4(uint8_t protocol, const Bytes& payload, Fragment4 fragment = {},
              const MacAddress& to = TestWorld::kGuestMac);
Bytes MakeIp6(uint8_t next, const Bytes& payload, uint8_t hop_limit = 64);
// With a checksum over the IPv6 pseudo-header at `field` of the payload.
Bytes MakeIp6Summed(uint8_t next, Bytes payload, size_t field, uint8_t hop_limit = 64);
Bytes MakeUdp6(uint16_t source, uint16_t destination, const Bytes& payload);
// ICMP or ICMPv6 by what `quoted` (an IP packet) is; `rest`: the word behind the checksum.
Bytes MakeIcmpError(uint8_t type, uint8_t code, uint32_t rest, const Bytes& quoted);
struct TcpSegment {
  uint16_t source = 0, destination = 0;
  uint32_t sequence = 0, acknowledged = 0;
  uint8_t flags = 0;
  uint16_t window = 0;
  Bytes options;
  Bytes payload;
};
inline constexpr uint8_t kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16;

Bytes MakeTcp(const TcpSegment& segment, const MacAddress& to = TestWorld::kGuestMac);
Bytes MakeTcp6(const TcpSegment& segment);
Bytes MakeUdp(uint16_t source, uint16_t destination, const Bytes& payload,
              const MacAddress& to = TestWorld::kGuestMac);
bool IsTcp(const Bytes& frame);
TcpSegment ParseTcp(const Bytes& frame);
Bytes Text2Bytes(const std::string& text);

}  // namespace librettos::guest
