// What a descriptor or a control message may say. Used by both ends of a ring, on private copies only: by the
// consumer because the producer is hostile, by the producer so that it never gets its own channel closed.
#pragma once

#include "guest/channel/control.h"
#include "guest/channel/layout.h"
#include "guest/channel/ring.h"
#include "guest/platform/frame.h"

namespace librettos::channel {

inline bool NoOffload(const Descriptor& d) {
  return (d.segment_bytes | d.checksum_start | d.checksum_offset | d.header_bytes) == 0;
}

// Flags and offload fields of a frame's first descriptor, the frame being `length` bytes long. Fields that no
// flag speaks of are 0.
inline Violation CheckOffload(const Descriptor& d, uint32_t length) {
  constexpr uint16_t kSegment = kSegmentTcp4 | kSegmentTcp6;
  constexpr uint32_t kChecksumBytes = 2;
  if ((d.flags & kSegment) == kSegment) return Violation::kBadFlags;
  if (d.flags & kNeedsChecksum) {
    const uint32_t end = uint32_t{d.checksum_start} + d.checksum_offset + kChecksumBytes;
    if (d.checksum_start < kEthernetHeaderBytes || end > length) return Violation::kBadOffload;
  } else if (d.checksum_start || d.checksum_offset || (d.flags & kSegment)) {
    return Violation::kBadOffload;
  }
  if (((d.flags & kSegment) != 0) != (d.segment_bytes != 0)) return Violation::kBadOffload;
  return d.header_bytes > length ? Violation::kBadOffload : Violation::kNone;
}

// The flags and fields that say `offload`. `header_bytes` is a hint, and is cut to the frame.
inline Descriptor DescribeOffload(const Offload& offload, uint32_t length) {
  Descriptor d = {};
  if (offload.needs_checksum) {
    d.flags |= kNeedsChecksum;
    d.checksum_start = offload.checksum_start;
    d.checksum_offset = offload.checksum_offset;
  }
  if (offload.checksum_valid) d.flags |= kChecksumValid;
  if (offload.segmentation == Segmentation::kTcp4) d.flags |= kSegmentTcp4;
  if (offload.segmentation == Segmentation::kTcp6) d.flags |= kSegmentTcp6;
  if (offload.segmentation != Segmentation::kNone) d.segment_bytes = offload.segment_bytes;
  d.header_bytes = offload.header_bytes < length ? offload.header_bytes : static_cast<uint16_t>(length);
  return d;
}

inline Offload OffloadOf(const Descriptor& d) {
  Offload offload;
  offload.needs_checksum = (d.flags & kNeedsChecksum) != 0;
  offload.checksum_valid = (d.flags & kChecksumValid) != 0;
  if (d.flags & kSegmentTcp4) offload.segmentation = Segmentation::kTcp4;
  if (d.flags & kSegmentTcp6) offload.segmentation = Segmentation::kTcp6;
  offload.segment_bytes = d.segment_bytes;
  offload.header_bytes = d.header_bytes;
  offload.checksum_start = d.checksum_start;
  offload.checksum_offset = d.checksum_offset;
  return offload;
}

// Type, range of each field and zero where nothing is said. Not the direction: a side that is sent a message
// meant for the other one closes the channel with kBadControl itself.
inline Violation CheckControl(const ControlMessage& m) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  if (m.zero[0] || m.zero[1] || m.zero[2] || m.zero2 || m.zero3) return Violation::kBadControl;
  const bool lease = m.protocol == kTcp || m.protocol == kUdp;
  bool good = false;
  switch (static_cast<ControlType>(m.type)) {
    case ControlType::kLeaseRequest:
      good = lease && m.status == 0;
      break;
    case ControlType::kLeaseRelease:
      good = lease && m.status == 0 && m.port != 0;
      break;
    case ControlType::kModeChanged:
      good = m.status == 0 && m.value <= static_cast<uint32_t>(DeclaredMode::kDirect);
      break;
    case ControlType::kLeaseReply:
      good = m.status <= static_cast<uint16_t>(LeaseStatus::kBadRequest) &&
             (m.status != static_cast<uint16_t>(LeaseStatus::kGranted) || (lease && m.port != 0));
      break;
  }
  return good ? Violation::kNone : Violation::kBadControl;
}

}  // namespace librettos::channel
