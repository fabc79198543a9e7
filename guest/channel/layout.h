// The memory of a channel, as both sides see it. Owned by the guest, granted to its servers.
//
// One region: a header page, a declaration area, then for each queue pair a transmit and a receive ring
// (control block, descriptors, slots). "Transmit" is seen from the guest. Each ring has one producer and one
// consumer. Everything in here can be changed by a hostile peer at any time: only guest/channel reads it, one
// relaxed or acquiring load per word into a private copy, checked before use.
//
// Indices are free-running; entry i lives at i % entries. The producer owns the slots from its index to the
// consumer's index + entries; slots are freed as the consumer index passes their descriptor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "guest/channel/word.h"

namespace librettos::channel {

inline constexpr uint32_t kMagic = 0x6c627274;  // "lbrt"
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kMaxQueuePairs = 8;
inline constexpr uint32_t kMinEntries = 64;
inline constexpr uint32_t kMaxEntries = 4096;  // Both powers of two.
inline constexpr uint32_t kMinSlotBytes = 2048;
inline constexpr uint32_t kMaxSlotBytes = 16384;
inline constexpr uint32_t kMaxParts = 34;     // Slots of one frame: 65535 bytes in slots of 2048, with room.
inline constexpr uint32_t kMaxLeases = 1024;  // Port leases that one guest can hold.

enum DescriptorFlags : uint16_t {
  kMore = 1 << 0,     // The frame goes on in the next descriptor.
  kControl = 1 << 1,  // Not a frame but a control message (control.h); never chained.
  kNeedsChecksum = 1 << 2,
  kChecksumValid = 1 << 3,
  kSegmentTcp4 = 1 << 4,
  kSegmentTcp6 = 1 << 5,
  kKnownFlags = (1 << 6) - 1,
};

// Offload fields are those of the frame's first descriptor; 0 in the others.
struct Descriptor {
  uint32_t slot;    // < entries
  uint16_t length;  // 1 … slot bytes
  uint16_t flags;
  uint16_t segment_bytes;
  uint16_t checksum_start;
  uint16_t checksum_offset;
  uint16_t header_bytes;
};
static_assert(sizeof(Descriptor) == 16);

// One side's words of a ring on a cache line of its own.
struct alignas(64) SideWords {
  Word index;         // Producer: entries published. Consumer: entries whose effect is done.
  Word event_index;   // Wants an event when the other side's index passes this …
  Word event_wanted;  // … if this is 1.
};

struct RingControl {
  SideWords producer;  // Written by the producer only.
  SideWords consumer;  // Written by the consumer only.
};
static_assert(sizeof(RingControl) == 128);

// What the guest says of itself, so that a new server knows it without asking. Written by the guest.
enum class DeclaredMode : uint32_t { kServer = 0, kDirect = 1 };

struct DeclaredLease {
  std::atomic<uint64_t>
      words[3];  // [0] protocol (8) | port (16) | 0 (40); [1] sequence; [2] token. words[0] == 0: free.
};

struct Header {
  std::atomic<uint32_t> magic;  // Written last by the guest.
  std::atomic<uint32_t> version;
  std::atomic<uint32_t> queue_pairs;
  std::atomic<uint32_t> entries;
  std::atomic<uint32_t> slot_bytes;
  std::atomic<uint32_t> mode;         // DeclaredMode
  std::atomic<uint32_t> lease_count;  // Entries of the table that may be in use, <= kMaxLeases.
  // Written by the server that forwards now; read by the guest as a hint only (which doorbell to ring).
  alignas(64) std::atomic<uint32_t> server;  // Its domain id.
  std::atomic<uint32_t> server_epoch;        // Grows with each activation.
};
static_assert(sizeof(Header) <= 4096);

struct Geometry {
  uint32_t queue_pairs = 1;
  uint32_t entries = 1024;
  uint32_t slot_bytes = 2048;

  bool operator==(const Geometry&) const = default;

  constexpr bool valid() const {
    auto power = [](uint32_t v) { return v && (v & (v - 1)) == 0; };
    return queue_pairs >= 1 && queue_pairs <= kMaxQueuePairs && power(entries) && entries >= kMinEntries &&
           entries <= kMaxEntries && power(slot_bytes) && slot_bytes >= kMinSlotBytes &&
           slot_bytes <= kMaxSlotBytes;
  }
  static constexpr size_t Pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }
  static constexpr size_t lease_offset() { return 4096; }
  static constexpr size_t rings_offset() { return 4096 + Pages(kMaxLeases * sizeof(DeclaredLease)); }
  constexpr size_t ring_bytes() const {
    return Pages(sizeof(RingControl) + entries * sizeof(Descriptor)) + size_t{entries} * slot_bytes;
  }
  // Offset of a queue pair's ring: transmit then receive.
  constexpr size_t ring_offset(uint32_t pair, bool receive) const {
    return rings_offset() + (size_t{pair} * 2 + receive) * ring_bytes();
  }
  constexpr size_t slots_offset(size_t ring) const {
    return ring + Pages(sizeof(RingControl) + entries * sizeof(Descriptor));
  }
  constexpr size_t total_bytes() const { return rings_offset() + size_t{queue_pairs} * 2 * ring_bytes(); }
};

}  // namespace librettos::channel
