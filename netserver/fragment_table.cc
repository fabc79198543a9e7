#include "netserver/fragment_table.h"

#include <cstring>

namespace librettos::netserver {

uint32_t FragmentTable::SetOf(const FragmentKey& key) {
  uint64_t mixed = key.source.high ^ key.source.low * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ key.destination.high) * 0xd6e8feb86659fd93 ^ key.destination.low;
  mixed = (mixed ^ key.id ^ uint64_t{key.protocol} << 32) * 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(mixed >> 40) % (kDatagrams / kWays) * kWays;
}

void FragmentTable::Learn(const FragmentKey& key, uint32_t slot, Nanoseconds now) {
  uint32_t set = SetOf(key);
  Entry* best = &entries_[set];
  for (uint32_t i = 0; i < kWays; ++i) {
    Entry& entry = entries_[set + i];
    if (entry.until && entry.key == key) {
      best = &entry;
      break;
    }
    if (entry.until < best->until) best = &entry;  // Free ones are the oldest of all.
  }
  *best = {key, now + kTimeout, slot};
}

int FragmentTable::Find(const FragmentKey& key, Nanoseconds now) const {
  uint32_t set = SetOf(key);
  for (uint32_t i = 0; i < kWays; ++i) {
    const Entry& entry = entries_[set + i];
    if (entry.until > now && entry.key == key) return static_cast<int>(entry.slot);
  }
  return -1;
}

void FragmentTable::Forget(uint32_t slot) {
  for (Entry& entry : entries_) {
    if (entry.slot == slot) entry.until = 0;
  }
}

bool FragmentTable::Hold(const FragmentKey& key, std::span<const std::byte> frame, const Offload& offload,
                         uint64_t last_lease, Nanoseconds now) {
  if (frame.size() > kHeldBytes || held_count_ == kHeld) return false;
  Held* room = nullptr;
  uint32_t same = 0;
  for (Held& held : held_) {
    if (!held.until) {
      room = &held;
    } else if (held.key == key && ++same == kHeldPerDatagram) {
      return false;
    }
  }
  if (!room) return false;
  room->key = key;
  room->until = now + kTimeout;
  room->order = ++order_;
  room->last_lease = last_lease;
  room->length = static_cast<uint32_t>(frame.size());
  room->offload = offload;
  memcpy(room->bytes, frame.data(), frame.size());
  ++held_count_;
  return true;
}

std::span<const std::byte> FragmentTable::Take(const FragmentKey& key, uint64_t lease, Offload& offload) {
  if (!held_count_) return {};
  Held* oldest = nullptr;
  for (Held& held : held_) {
    if (!held.until || held.key != key || held.last_lease < lease) continue;
    if (!oldest || held.order < oldest->order) oldest = &held;
  }
  if (!oldest) return {};
  oldest->until = 0;
  --held_count_;
  offload = oldest->offload;
  return {oldest->bytes, oldest->length};
}

uint32_t FragmentTable::Expire(Nanoseconds now) {
  uint32_t expired = 0;
  for (Held& held : held_) {
    if (!held_count_) break;
    if (!held.until || held.until > now) continue;
    held.until = 0;
    --held_count_;
    ++expired;
  }
  return expired;
}

}  // namespace librettos::netserver
