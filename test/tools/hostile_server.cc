// A network server that forwards like any other, but from a moment after it has become healthy does its worst
// to its guests with what a server has: their channels' memory, their doorbells and its registry keys.
// Embedded mode only.
//
// What it does is the end of its image's name, "…-MODE" (no server gets arguments):
//
// index, consumed     impossible indices: of what it sends, and of what it has taken
// slot, length, flags, chain, offload, control    entries that cannot be, each of one kind
// lies                entries that can be, of frames and offload fields that are nonsense
// rewrite             changes descriptors while they are read
// header              what the guest says of its channel
// leases              what the guest says of its leases
// mute                takes nothing, sends nothing and answers nobody, but its heart beats
// events              rings the doorbell
// reopen              says that it has closed the channel, and that it has not
//
// It does so for a third of each second, in which it does not forward, but for what it attacks with; then it
// forwards again, to those that still let it. `mute` is for good.
#include <errno.h>

#include <cstring>
#include <memory>

#include "drivers/net/nic_opening.h"
#include "drivers/net/tap.h"
#include "guest/channel/control.h"
#include "guest/channel/layout.h"
#include "guest/channel/text.h"
#include "guest/net/headers.h"
#include "guest/platform/statistics.h"
#include "netserver/server.h"
#include "test/tools/server_tap.h"

namespace librettos {
namespace {

using channel::Descriptor;
using channel::Geometry;
using channel::Header;
using channel::RingControl;
using channel::Text;

constexpr Nanoseconds kBegin = 300'000'000;  // After it is healthy.
constexpr Nanoseconds kPeriod = 1'000'000'000, kAttack = kPeriod / 3;
constexpr Nanoseconds kPause =
    1'000'000;  // Between two rounds of those attacks that stand once they are made.
constexpr uint32_t kFrameBytes = 60;
constexpr Geometry kGeometry = {1, 2048, 2048};  // guest/net/stack.cc
constexpr uint32_t kHeaders = 34;                // Ethernet and IPv4.

struct Ring {
  RingControl* control;
  Descriptor* descriptors;
  std::byte* slots;
};

uint64_t RandomWord() {
  uint64_t word;
  Random(std::as_writable_bytes(std::span(&word, 1)));
  return word;
}

class Attack {
 public:
  Attack(test::ServerTap& platform, std::string_view mode) : platform_(platform), mode_(mode) {}

  // One round; false: there is no such mode.
  bool Round() {
    bool known = true;
    for (const std::span<std::byte> memory : platform_.Memories()) known = known && Ruin(memory);
    if (mode_ == "reopen") Reopen();
    for (EventPort* port : platform_.ports()) port->Signal();
    return known;
  }
  // It makes as many rounds as it can.
  bool storms() const { return mode_ == "events" || mode_ == "rewrite" || mode_ == "lies"; }

 private:
  bool Ruin(std::span<std::byte> memory) {
    auto* header = reinterpret_cast<Header*>(memory.data());
    const Geometry& geometry = kGeometry;
    if (memory.size() != geometry.total_bytes()) return true;
    const Ring receive = RingAt(memory, geometry, true);
    const Ring transmit = RingAt(memory, geometry, false);
    if (mode_ == "index") return receive.control->producer.index.fetch_add(1u << 20), true;
    if (mode_ == "consumed") return transmit.control->consumer.index.fetch_add(1u << 20), true;
    if (mode_ == "slot") return Send(receive, geometry, Entry(1u << 30, kFrameBytes)), true;
    if (mode_ == "length") return Send(receive, geometry, Entry(0, 0xffff)), true;
    if (mode_ == "flags") return Send(receive, geometry, Entry(0, kFrameBytes, 0x8000)), true;
    if (mode_ == "chain") return Chain(receive, geometry), true;
    if (mode_ == "offload") {
      Descriptor descriptor = Entry(0, kFrameBytes, channel::kNeedsChecksum);
      descriptor.checksum_start = 0xfff0;
      return Send(receive, geometry, descriptor), true;
    }
    if (mode_ == "control") {
      constexpr uint16_t kLength = sizeof(channel::ControlMessage);
      memset(receive.slots, 0xff, kLength);
      return Send(receive, geometry, Entry(0, kLength, channel::kControl)), true;
    }
    if (mode_ == "lies") return Lie(receive, geometry), true;
    if (mode_ == "rewrite") return Rewrite(receive, geometry), true;
    if (mode_ == "header") return memset(memory.data(), 0xff, sizeof(Header)), true;
    if (mode_ == "leases") {
      header->lease_count.store(0);
      memset(memory.data() + Geometry::lease_offset(), 0xff,
             sizeof(channel::DeclaredLease) * channel::kMaxLeases);
      return true;
    }
    return mode_ == "events" || mode_ == "reopen" || mode_ == "mute";
  }

  static Descriptor Entry(uint32_t slot, uint16_t length, uint16_t flags = 0) {
    Descriptor descriptor = {};
    descriptor.slot = slot;
    descriptor.length = length;
    descriptor.flags = flags;
    return descriptor;
  }
  static Ring RingAt(std::span<std::byte> memory, const Geometry& geometry, bool receive) {
    const size_t at = geometry.ring_offset(0, receive);
    return {reinterpret_cast<RingControl*>(memory.data() + at),
            reinterpret_cast<Descriptor*>(memory.data() + at + sizeof(RingControl)),
            memory.data() + geometry.slots_offset(at)};
  }
  static void Send(const Ring& ring, const Geometry& geometry, const Descriptor& descriptor) {
    const uint32_t at = ring.control->producer.index.load();
    ring.descriptors[at % geometry.entries] = descriptor;
    ring.control->producer.index.store(at + 1);
  }
  static void Chain(const Ring& ring, const Geometry& geometry) {
    const uint32_t at = ring.control->consumer.index.load();
    for (uint32_t i = 0; i < geometry.entries; ++i) {
      ring.descriptors[i] = Entry(i, kFrameBytes, channel::kMore);
    }
    ring.control->producer.index.store(at + geometry.entries);
  }

  // Frames that the guest looks into, and of any content there, with fields that the channel lets pass. Not
  // TCP: with that it could end a connection, as the wire can.
  static void Lie(const Ring& ring, const Geometry& geometry) {
    const uint32_t at = ring.control->producer.index.load();
    if (at - ring.control->consumer.index.load() >= geometry.entries) return;
    const auto slot = static_cast<uint32_t>(1 + RandomWord() % (geometry.entries - 1));
    const uint64_t kind = RandomWord();
    const auto length = static_cast<uint16_t>(kFrameBytes + kind % 1400);
    std::byte* frame = ring.slots + size_t{slot} * geometry.slot_bytes;
    Random({frame, length});
    memcpy(frame, ring.slots, kHeaders);  // Of a frame that was for it.
    constexpr uint8_t kProtocols[] = {1, 2, 17, 58};
    frame[23] = std::byte{kProtocols[(kind >> 40) % sizeof(kProtocols)]};
    guest::Store16(frame + 24, 0);
    guest::Store16(frame + 24, static_cast<uint16_t>(~guest::Fold(guest::Sum(frame + 14, 20))));
    Descriptor descriptor = Entry(slot, length);
    if (kind & 1) descriptor.flags |= channel::kChecksumValid;
    if (kind & 2) {
      descriptor.flags |= channel::kNeedsChecksum;
      descriptor.checksum_start = static_cast<uint16_t>(14 + kind % 32);
      descriptor.checksum_offset = static_cast<uint16_t>((kind >> 8) % 12);
      if (kind & 4) {
        descriptor.flags |= kind & 8 ? channel::kSegmentTcp4 : channel::kSegmentTcp6;
        descriptor.segment_bytes = static_cast<uint16_t>((kind >> 16) | 1);
      }
    }
    descriptor.header_bytes = static_cast<uint16_t>((kind >> 32) % (length + 1u));
    Send(ring, geometry, descriptor);
  }

  // Between what is right and what is not, without an end.
  static void Rewrite(const Ring& ring, const Geometry& geometry) {
    for (uint32_t i = 0; i < geometry.entries; ++i) {
      Descriptor& descriptor = ring.descriptors[i];
      __atomic_store_n(&descriptor.slot, RandomWord() % 2 ? i : ~i, __ATOMIC_RELAXED);
      __atomic_store_n(&descriptor.length, RandomWord() % 2 ? 60 : 0xffff, __ATOMIC_RELAXED);
      __atomic_store_n(&descriptor.flags, static_cast<uint16_t>(RandomWord() % 4), __ATOMIC_RELAXED);
    }
    ring.control->producer.index.fetch_add(1);
  }

  void Reopen() {
    const Text own = Text().Add("/local/domain/").Add(platform_.self()).Add("/backend/vif/");
    open_ = !open_;
    for (DomainId guest = 1; guest < 32; ++guest) {
      const Text state = Text().Add(own.view()).Add(guest).Add("/0/state");
      (void)platform_.registry().Publish(state.view(), open_ ? "4" : "6");
    }
  }

  test::ServerTap& platform_;
  const std::string_view mode_;
  bool open_ = false;
};

Platform* real_platform = nullptr;

}  // namespace

// In the place of //drivers/net:open, which takes the platform that it is given for that of a process.
Result<NicOpening*> OpenNic(Platform&, const Device& device) {
  Result<Nic*> nic = TapNic::Create(process::DescriptorLoopOf(*real_platform), device);
  if (!nic.ok()) return nic.error();
  return static_cast<NicOpening*>(new ReadyNic(*nic));
}

int DomainMain(Platform& real) {
  // glibc's, of argv[0].
  const std::string_view name(program_invocation_short_name);
  const std::string_view mode = name.substr(name.rfind('-') + 1);
  real_platform = &real;
  test::ServerTap platform(real);
  auto server = std::make_unique<netserver::Server>(platform);
  if (!server->Start().ok()) return 1;
  Attack attack(platform, mode);
  Nanoseconds healthy_at = 0;
  while (!platform.loop().stopping()) {
    const Nanoseconds now = Now();
    if (!healthy_at && platform.healthy()) {
      Log(Text().Add("hostile server: ").Add(mode).view());
      healthy_at = now;
    }
    const bool begun = healthy_at && now - healthy_at >= kBegin;
    if (!begun || (mode != "mute" && (now - healthy_at - kBegin) % kPeriod >= kAttack)) {
      server->Step();
      continue;
    }
    reinterpret_cast<StatisticsHeader*>(platform.statistics().data())->heartbeat.fetch_add(1);
    if (!attack.Round()) {
      Log("hostile server: no such mode");
      return 2;
    }
    platform.loop().Wait(attack.storms() ? 0 : now + kPause);
  }
  return 0;
}

}  // namespace librettos
