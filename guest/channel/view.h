// Where the parts of a channel lie in its region. The region is page-aligned and at least total_bytes() long.
#pragma once

#include "guest/channel/layout.h"
#include "guest/channel/ring.h"

namespace librettos::channel {

// The objects begin their life by the guest's zeroed memory: all are made of integers and atomics of
// integers, for which all zero bits are a value, and are never destroyed.
inline Header* HeaderOf(std::byte* region) { return reinterpret_cast<Header*>(region); }

inline DeclaredLease* LeasesOf(std::byte* region) {
  return reinterpret_cast<DeclaredLease*>(region + Geometry::lease_offset());
}

inline RingView ViewOf(std::byte* region, const Geometry& geometry, uint32_t pair, bool receive) {
  const size_t ring = geometry.ring_offset(pair, receive);
  RingView view;
  view.control = reinterpret_cast<RingControl*>(region + ring);
  view.descriptors = reinterpret_cast<Descriptor*>(region + ring + sizeof(RingControl));
  view.slots = region + geometry.slots_offset(ring);
  view.entries = geometry.entries;
  view.slot_bytes = geometry.slot_bytes;
  return view;
}

}  // namespace librettos::channel
