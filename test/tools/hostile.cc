// A guest that does its worst with what a guest has: its channel's memory, its doorbell and its registry
// keys.
//
//   hostile MODE [OWN-MAC OWN-IPV4 OTHER-MAC OTHER-IPV4]        addresses in hexadecimal, 02…01 and 0a4d000c
//
// spin       nothing but use of a CPU: what the others are to be compared with
// events     rings the doorbell
// drop       fills its transmit ring with frames that must be dropped (not its MAC)
// wire       … that go to the wire (to a MAC that nobody has)
// neighbour  … that go to the other guest, a datagram each
// broadcast  … that go to everybody, a datagram each
// drain      takes what it receives, and sleeps in between
// stalled    never takes what it receives
// flip       writes nonsense into producer indices and descriptors
// leases     asks for port leases and gives them back
// registry   publishes changing keys, of its channel, too
// grants     offers grants that there are not, and geometries that its memory does not have
// revoke     revokes the grant that servers have mapped, offers it all the same, and writes to the memory
// dma        has the NIC that it is given write to memory that is nobody's (Xen)
//
// All as fast as it can, from the first server that connects on, until it is killed.
#include <charconv>
#include <cstring>

#include "guest/channel/guest_end.h"
#include "guest/channel/ring_key.h"
#include "guest/channel/text.h"
#include "guest/platform/platform.h"
#include "test/tools/region_tap.h"
#include "test/tools/wild_dma.h"

namespace librettos {
namespace {

using channel::ControlMessage;
using channel::ControlType;
using channel::Descriptor;
using channel::Geometry;
using channel::GuestEnd;
using channel::Received;
using channel::RingControl;
using channel::RingKey;
using channel::Text;

constexpr Nanoseconds kLookAround = 1'000'000;  // How often it reads what the daemon and the server tell.
constexpr uint32_t kBatch = 64;
constexpr uint32_t kFrameBytes = 60;

class Observer final : public channel::GuestEndObserver {
 public:
  void OnChannelEvent() override {}
  void OnServerChanged(DomainId, uint32_t) override {}
};

struct Addresses {
  uint64_t mac = 0, ipv4 = 0;
};

uint64_t Hexadecimal(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

void Put(std::byte* at, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i, value >>= 8) at[i] = static_cast<std::byte>(value);
}

// A UDP datagram to the discard port, without a checksum of its own.
void MakeFrame(const Addresses& from, const Addresses& to, std::byte* frame) {
  memset(frame, 0, kFrameBytes);
  Put(frame, to.mac, 6);
  Put(frame + 6, from.mac, 6);
  Put(frame + 12, 0x0800, 2);
  std::byte* ip = frame + kEthernetHeaderBytes;
  constexpr uint32_t kIpBytes = kFrameBytes - kEthernetHeaderBytes;
  Put(ip, 0x45, 1);
  Put(ip + 2, kIpBytes, 2);
  Put(ip + 8, 64, 1);
  Put(ip + 9, 17, 1);
  Put(ip + 12, from.ipv4, 4);
  Put(ip + 16, to.ipv4, 4);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += static_cast<uint32_t>(ip[i]) << 8 | static_cast<uint32_t>(ip[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  Put(ip + 10, ~sum & 0xffff, 2);
  Put(ip + 20, 9, 2);
  Put(ip + 22, 9, 2);
  Put(ip + 24, kIpBytes - 20, 2);
}

class Hostile {
 public:
  Hostile(test::RegionTap& platform, GuestEnd& end) : platform_(platform), end_(end) {}

  // One round of the mode; false: there is no such mode.
  bool Round(std::string_view mode) {
    if (mode == "spin") return true;
    if (mode == "drain") return Drain(), true;
    if (mode == "stalled") return platform_.loop().Wait(Now() + kLookAround), true;
    if (mode == "events") return end_.Signal(0), true;
    if (mode == "drop" || mode == "wire" || mode == "neighbour" || mode == "broadcast") return Flood(), true;
    if (mode == "flip") return Flip(), true;
    if (mode == "leases") return AskForLeases(), true;
    if (mode == "registry") return PublishKeys(), true;
    if (mode == "grants") return OfferNonsense(), true;
    if (mode == "revoke") return Revoke(), true;
    if (mode == "dma") return wild_dma_.Round(), platform_.loop().Wait(Now() + kLookAround), true;
    return false;
  }
  void Prepare(std::string_view mode, Addresses own, Addresses other) {
    if (mode == "drop") own.mac ^= 0x80;
    if (mode == "wire") other.mac = 0x0200deadbeef;
    if (mode == "broadcast") other = {0xffffffffffff, own.ipv4 | 0xff};
    MakeFrame(own, other, frame_);
  }

 private:
  void Publish() {
    if (end_.transmit(0).Publish()) end_.Signal(0);
  }

  void Flood() {
    const Part part = {frame_, kFrameBytes};
    const OutFrame frame{{&part, 1}, kFrameBytes, {}};
    for (uint32_t i = 0; i < kBatch && end_.transmit(0).Put(frame).ok(); ++i) continue;
    Publish();
  }

  void Drain() {
    while (end_.receive(0).Peek(received_)) {
      if (end_.receive(0).Commit(received_.entries)) end_.Signal(0);
    }
    if (!end_.receive(0).ArmEvent()) return;
    platform_.loop().Wait(Now() + kLookAround);
    end_.receive(0).DisarmEvent();
  }

  void Flip() {
    std::byte* ring = platform_.region().bytes().data() + end_.geometry().ring_offset(0, false);
    auto* control = reinterpret_cast<RingControl*>(ring);
    auto* descriptors = reinterpret_cast<Descriptor*>(ring + sizeof(RingControl));
    uint64_t random[4];
    Random(std::as_writable_bytes(std::span(random)));
    memcpy(&descriptors[random[0] % end_.geometry().entries], &random[1], sizeof(Descriptor));
    // Mostly a small step, which is legal, so that the descriptors are looked at.
    const auto step = static_cast<uint32_t>(random[3] % 64 == 0 ? random[3] >> 32 : random[3] % 4);
    control->producer.index.fetch_add(step, std::memory_order_release);
    end_.Signal(0);
  }

  void AskForLeases() {
    for (uint32_t i = 0; i < kBatch; ++i) {
      ControlMessage message{};
      message.type = static_cast<uint16_t>(ControlType::kLeaseRequest);
      message.id = ++requests_;
      message.protocol = requests_ % 2 ? 6 : 17;
      if (!end_.transmit(0).PutControl(message).ok()) break;
    }
    Publish();
    while (end_.receive(0).Peek(received_)) {
      if (end_.receive(0).Commit(received_.entries)) end_.Signal(0);
      if (!received_.control) continue;
      ControlMessage release = received_.message;
      release.type = static_cast<uint16_t>(ControlType::kLeaseRelease);
      release.status = 0;
      release.token = 0;
      (void)end_.transmit(0).PutControl(release);
    }
  }

  void PublishKeys() {
    const Text value = Text().Add(++published_);
    (void)platform_.registry().Publish(Own().Add("/data/mode").view(), value.view());
    (void)platform_.registry().Publish(Frontend().Add("/event-7").view(), value.view());
    // The control queue is bounded; only a turn of the loop empties it.
    platform_.loop().Wait(0);
  }

  void Offer(GrantRef ref, uint32_t entries) {
    const RingKey key = {ref, channel::kVersion, {1, entries, end_.geometry().slot_bytes}};
    (void)platform_.registry().Publish(Frontend().Add("/ring").view(), key.Format().view());
    platform_.loop().Wait(Now() + kLookAround);
  }

  void OfferNonsense() {
    uint32_t random[2];
    Random(std::as_writable_bytes(std::span(random)));
    const GrantRef own = platform_.region().granted();
    // Its own with more memory than there is; then small numbers, which may be someone's; then any.
    if (++offered_ % 3 == 0) return Offer(own, 2 * end_.geometry().entries);
    Offer(offered_ % 3 == 1 ? 1 + random[0] % 64 : random[0] | 1, end_.geometry().entries);
  }

  void Revoke() {
    const std::span<std::byte> memory = platform_.region().bytes();
    platform_.region().Revoke(platform_.region().granted());
    Offer(platform_.region().granted(), end_.geometry().entries);
    uint64_t random[2];
    Random(std::as_writable_bytes(std::span(random)));
    memcpy(&memory[random[0] % (memory.size() - 8)], &random[1], 8);
  }

  Text Own() const { return Text().Add("/local/domain/").Add(platform_.self()); }
  // What it tells the server that is active now.
  Text Frontend() const { return Own().Add("/device/vif/0/frontend/").Add(end_.active_server()); }

  test::RegionTap& platform_;
  GuestEnd& end_;
  test::WildDma wild_dma_{platform_};
  std::byte frame_[kFrameBytes];
  Received received_;
  uint32_t requests_ = 0;
  uint32_t published_ = 0;
  uint32_t offered_ = 0;
};

}  // namespace

int DomainMain(Platform& real) {
  const auto arguments = real.arguments();
  if (arguments.size() != 1 && arguments.size() != 5) {
    Log("usage: hostile MODE [OWN-MAC OWN-IPV4 OTHER-MAC OTHER-IPV4]");
    return 2;
  }
  const std::string_view mode = arguments[0];
  Addresses own, other;
  if (arguments.size() == 5) {
    own = {Hexadecimal(arguments[1]), Hexadecimal(arguments[2])};
    other = {Hexadecimal(arguments[3]), Hexadecimal(arguments[4])};
  }
  test::RegionTap platform(real);
  Observer observer;
  const Text base = Text().Add("/local/domain/").Add(platform.self()).Add("/device/vif/0");
  Result<GuestEnd*> end = GuestEnd::Create(platform, base.view(), Geometry(), &observer);
  if (!end.ok()) return 1;
  Hostile hostile(platform, **end);
  hostile.Prepare(mode, own, other);
  while (!platform.loop().stopping() && (*end)->active_server() == 0) {
    platform.loop().Wait(Now() + kLookAround);
  }
  Log("hostile: begins");
  for (Nanoseconds look = 0; !platform.loop().stopping();) {
    if (!hostile.Round(mode)) {
      Log("hostile: no such mode");
      return 2;
    }
    if (const Nanoseconds now = Now(); now >= look) {
      look = now + kLookAround;
      platform.loop().Wait(0);
    }
  }
  return 0;
}

}  // namespace librettos
