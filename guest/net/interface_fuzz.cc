// Frames from a hostile network into the real interface, lwIP and sockets: a listener, connections both ways
// and UDP, of both families, with a program that accepts, reads, writes and closes, and a clock that the
// input moves.
//
// Checked: nothing breaks (lwIP's assertions end the process), all that the guest sends is a frame of its
// own, and no input makes it send without end.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "bazel/fuzz_input.h"
#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/priv/tcp_priv.h"

namespace librettos::guest {
namespace {

using sockets::Family;
using sockets::Type;

constexpr int kMaxSteps = 64;
constexpr size_t kMaxSockets = 32;
// Of what one step may make the guest send: a window's worth, repeated.
constexpr size_t kMaxFramesPerStep = 4096;
constexpr uint16_t kPort = 80;        // The guest's, listening, and of UDP.
constexpr uint16_t kPeerPort = 4000;  // To 4000 + kPeers - 1.
constexpr uint8_t kPeers = 4;         // The higher two with IPv6.

class Fuzz {
 public:
  explicit Fuzz(FuzzInput& input, uint8_t kind) : input_(input), world_({.queue_pairs = kind % 2 + 1u}) {
    world_.TeachArp();
    world_.TeachNd();
    for (Family family : {Family::kIpv4, Family::kIpv6}) {
      const int listener = sockets::Socket(family, Type::kStream).value();
      (void)sockets::SetOption(listener, sockets::Option::kIpv6Only, true);
      FUZZ_CHECK(sockets::Bind(listener, sockets::Address::Any(family, kPort)).ok());
      FUZZ_CHECK(sockets::Listen(listener, 4).ok());
      const int datagrams = sockets::Socket(family, Type::kDatagram).value();
      (void)sockets::SetOption(datagrams, sockets::Option::kIpv6Only, true);
      FUZZ_CHECK(sockets::Bind(datagrams, sockets::Address::Any(family, kPort)).ok());
      open_.insert(open_.end(), {listener, datagrams});
    }
  }

  ~Fuzz() {
    for (int socket : open_) sockets::Close(socket);
    // lwIP is one for the process: nothing of this input may be left for the next one.
    while (tcp_active_pcbs) tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs) tcp_abort(tcp_tw_pcbs);
    while (tcp_bound_pcbs) tcp_abort(tcp_bound_pcbs);
    for (int i = 0; i <= IP_REASS_MAXAGE; ++i) ip_reass_tmr();
    for (int i = 0; i <= IPV6_REASS_MAXAGE; ++i) ip6_reass_tmr();
  }

  void Run() {
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) {
      Step(input_.U8());
      world_.Turn(2);
      Take();
    }
  }

 private:
  // What the peer has seen of one connection.
  struct Peer {
    uint16_t guest_port = kPort;
    uint32_t sequence = 1000;
    uint32_t acknowledged = 0;
  };

  Bytes Payload(size_t most) {
    const auto bytes = input_.Take(input_.U8() % (most + 1));
    return {bytes.begin(), bytes.end()};
  }

  void Deliver(const Bytes& frame, const Offload& offload = {.checksum_valid = true}) {
    if (frame.size() < kEthernetHeaderBytes || !world_.server().active()) return;
    const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
    auto& ring = world_.server().receive(0);
    (void)ring.Put({{&part, 1}, part.length, offload});
    if (ring.Publish()) world_.server().Signal(0);
  }

  void Step(uint8_t op) {
    switch (op % 16) {
      case 0: {
        Bytes frame = Payload(255);
        // Lengths that the bytes do not have.
        if (op & 16) frame.resize(frame.size() + input_.U16() % 4096);
        if (op & 32 && frame.size() >= 6) std::memcpy(frame.data(), TestWorld::kGuestMac.data(), 6);
        return Deliver(frame, {.checksum_valid = (op & 64) != 0});
      }
      case 1:
      case 2:
      case 3:
      case 4:
        return Segment(op / 16 % kPeers);
      case 5:
        return Deliver(op & 16 ? MakeUdp6(kPeerPort, kPort, Payload(64))
                               : MakeUdp(kPeerPort, kPort, Payload(64)));
      case 6: {
        const uint8_t protocol = input_.U8();
        const Fragment4 fragment{input_.U8(), input_.U16()};
        return Deliver(MakeIp4(protocol, Payload(255), fragment), {.checksum_valid = (op & 16) != 0});
      }
      case 7: {
        const uint8_t next = input_.U8();
        return Deliver(MakeIp6(next, Payload(255), op & 16 ? 255 : 64));
      }
      case 8: {
        // An ICMPv6 message with a right checksum: neighbour discovery, listener discovery.
        Bytes message = Payload(255);
        if (message.size() >= 4) Deliver(MakeIp6Summed(kProtocolIcmp6, message, 2, op & 16 ? 255 : 64));
        return;
      }
      case 9:
        return Error();
      case 10: {
        const uint64_t milliseconds = uint64_t{1} << (input_.U8() % 14);
        // In steps, as the loop would wake up.
        for (int i = 0; i < 8; ++i) {
          world_.Advance(milliseconds * 1'000'000 / 8);
          Take();
        }
        return;
      }
      default:
        return Program(op / 16);
    }
  }

  void Segment(uint8_t index) {
    Peer& peer = peers_[index];
    const uint8_t flags = input_.U8(), moves = input_.U8();
    TcpSegment segment;
    segment.source = static_cast<uint16_t>(kPeerPort + index);
    segment.destination = peer.guest_port;
    segment.flags = flags;
    segment.sequence =
        peer.sequence + (moves & 1 ? static_cast<uint32_t>(static_cast<int16_t>(input_.U16())) : 0);
    segment.acknowledged =
        peer.acknowledged + (moves & 2 ? static_cast<uint32_t>(static_cast<int16_t>(input_.U16())) : 0);
    segment.window = moves & 4 ? input_.U16() : 0xffff;
    if (moves & 8) segment.options = Payload(40);
    segment.options.resize(segment.options.size() / 4 * 4);
    if (moves & 16) segment.payload = Payload(255);
    if (moves & 32) segment.payload.resize(segment.payload.size() + input_.U16() % 4096);
    if (!(moves & 64)) {
      peer.sequence = segment.sequence + static_cast<uint32_t>(segment.payload.size()) +
                      ((flags & (kTcpSyn | kTcpFin)) ? 1 : 0);
    }
    Deliver(index < 2 ? MakeTcp(segment) : MakeTcp6(segment));
  }

  // About something that the guest has sent, or nearly.
  void Error() {
    const uint8_t type = input_.U8(), code = input_.U8();
    const uint32_t rest = input_.U16();
    Bytes quoted = last_;
    const uint8_t change = input_.U8();
    if (quoted.size() > 14) quoted.erase(quoted.begin(), quoted.begin() + 14);
    quoted.resize(std::min<size_t>(quoted.size(), 28 + change % 64));
    if (quoted.empty()) return;
    if (change & 64) quoted[input_.U8() % quoted.size()] = static_cast<std::byte>(input_.U8());
    Deliver(MakeIcmpError(type, code, rest, quoted));
  }

  void Program(uint8_t what) {
    const uint8_t argument = input_.U8();
    const int socket = open_[argument % open_.size()];
    Bytes buffer(2048);
    switch (what % 8) {
      case 0: {
        sockets::Address peer;
        if (Result<int> accepted = sockets::Accept(socket, &peer); accepted.ok()) Keep(*accepted);
        return;
      }
      case 1:
        return (void)sockets::Receive(socket, buffer);
      case 2:
        buffer.resize(size_t{argument} * 257);
        return (void)sockets::Send(socket, buffer);
      case 3: {
        sockets::Address peer;
        if (Result<size_t> got = sockets::ReceiveFrom(socket, buffer, &peer); got.ok()) {
          (void)sockets::SendTo(socket, std::span(buffer).first(*got), peer);
        }
        return;
      }
      case 4: {
        // To the peer of that index.
        const uint8_t index = argument % kPeers;
        Result<int> made = sockets::Socket(index < 2 ? Family::kIpv4 : Family::kIpv6, Type::kStream);
        if (!made.ok()) return;
        auto address = sockets::Address::Parse(index < 2 ? "10.1.0.1" : "fd00::1", kPeerPort + index);
        (void)sockets::Connect(*made, address.value());
        return Keep(*made);
      }
      case 5:
        return (void)sockets::ShutdownWrite(socket);
      case 6: {
        sockets::PollItem item{socket, sockets::kIn | sockets::kOut, 0};
        return (void)sockets::Poll({&item, 1}, 0);
      }
      default:
        if (open_.size() <= 4) return;  // The first four stay.
        const size_t at = 4 + argument % (open_.size() - 4);
        sockets::Close(open_[at]);
        open_.erase(open_.begin() + static_cast<ptrdiff_t>(at));
    }
  }

  void Keep(int socket) {
    if (open_.size() < kMaxSockets) return open_.push_back(socket);
    sockets::Close(socket);
  }

  void Take() {
    size_t count = 0;
    while (true) {
      std::vector<Frame> frames = world_.TakeSent();
      if (frames.empty()) return;
      count += frames.size();
      FUZZ_CHECK(count <= kMaxFramesPerStep);
      for (Frame& frame : frames) Look(frame);
      world_.Turn(1);
    }
  }

  void Look(Frame& frame) {
    FUZZ_CHECK(frame.bytes.size() >= kEthernetHeaderBytes && frame.bytes.size() <= kMaxFrameBytes);
    FUZZ_CHECK(std::memcmp(&frame.bytes[6], TestWorld::kGuestMac.data(), 6) == 0);
    if (frame.offload.segmentation == Segmentation::kNone) FUZZ_CHECK(frame.bytes.size() <= 1514);
    const Layout layout = Dissect(frame.bytes.data(), frame.bytes.size());
    if (layout.protocol == kProtocolTcp) {
      const TcpSegment segment = ParseTcp(frame.bytes);
      const uint16_t index = static_cast<uint16_t>(segment.destination - kPeerPort);
      if (index < kPeers && !(segment.flags & kTcpRst)) {
        peers_[index].guest_port = segment.source;
        peers_[index].acknowledged = segment.sequence + static_cast<uint32_t>(segment.payload.size()) +
                                     ((segment.flags & (kTcpSyn | kTcpFin)) ? 1 : 0);
      }
    }
    last_ = std::move(frame.bytes);
  }

  FuzzInput& input_;
  TestWorld world_;
  std::vector<int> open_;
  Peer peers_[kPeers];
  Bytes last_;
};

}  // namespace
}  // namespace librettos::guest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::FuzzInput input(data, size);
  librettos::guest::Fuzz(input, input.U8()).Run();
  return 0;
}
