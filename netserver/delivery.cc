#include "netserver/delivery.h"

#include "guest/platform/fault_point.h"

namespace librettos::netserver {
namespace {

// All frames of a flow take the same pair, so that they stay in order.
uint32_t PairOf(const Packet& packet, uint32_t pairs) {
  if (pairs == 1) return 0;
  uint64_t mixed = packet.source.low ^ packet.destination.low * 0x9e3779b97f4a7c15;
  if (!packet.fragment) mixed ^= uint64_t{packet.source_port} << 16 | packet.destination_port;
  return static_cast<uint32_t>((mixed * 0xd6e8feb86659fd93) >> 40) % pairs;
}

}  // namespace

void Delivery::ToGuest(Guest& guest, const Packet& packet, const OutFrame& frame) {
  if (!Usable(guest)) return;
  Pair& pair = guest.pairs[PairOf(packet, guest.queue_pairs)];
  channel::Producer<>& ring = guest.end->receive(pair.index);
  Status status;
  channel::Violation violation;
  bool signal = false;
  {
    SpinLockHolder holder(pair.receive_lock, sharing_.several());
    status = ring.Put(frame);
    if (status.error() == Error::kAgain && dirty(pair)) {
      // The guest may be asleep on top of a full ring that it was not told of.
      signal = ring.Publish();
      status = ring.Put(frame);
    }
    violation = ring.violation();
  }
  if (signal) Signal(pair);
  if (status.ok()) {
    Count(guest.row, Counter::k_rx_frames);
    Count(guest.row, Counter::k_rx_bytes, frame.length);
    MarkDirty(pair);
    return;
  }
  if (violation != channel::Violation::kNone) return Close(guest, violation);
  Count(guest.row, status.error() == Error::kAgain ? Counter::k_ring_full : Counter::k_too_long);
}

void Delivery::Flood(const Guest* except, const Packet& packet, const OutFrame& frame) {
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (guest && guest != except && guest->active && !guest->direct()) ToGuest(*guest, packet, frame);
  }
}

void Delivery::ToAllShared(const Guest* except, const Packet& packet, const OutFrame& frame) {
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (guest && guest != except && guest->active && guest->shared()) ToGuest(*guest, packet, frame);
  }
}

Status Delivery::PutControl(Pair& pair, const channel::ControlMessage& message) {
  channel::Producer<>& ring = pair.guest->end->receive(pair.index);
  Status status;
  channel::Violation violation;
  {
    SpinLockHolder holder(pair.receive_lock, sharing_.several());
    status = ring.PutControl(message);
    violation = ring.violation();
  }
  if (status.ok()) MarkDirty(pair);
  if (violation != channel::Violation::kNone) Close(*pair.guest, violation);
  return status;
}

bool Delivery::HasRoom(Pair& pair) {
  SpinLockHolder holder(pair.receive_lock, sharing_.several());
  return pair.guest->end->receive(pair.index).Space(1) > 0;
}

bool Delivery::ArmRoom(Pair& pair) {
  channel::Producer<>& ring = pair.guest->end->receive(pair.index);
  channel::Violation violation;
  bool armed;
  {
    SpinLockHolder holder(pair.receive_lock, sharing_.several());
    armed = ring.ArmEvent(1);
    violation = ring.violation();
  }
  if (violation != channel::Violation::kNone) Close(*pair.guest, violation);
  return armed;
}

void Delivery::MarkDirty(Pair& pair) {
  if (dirty(pair)) return;
  dirty(pair) = true;
  dirty_[dirty_count_++] = &pair;
}

void Delivery::Publish(Pair& pair) {
  if (!Usable(*pair.guest)) return;
  bool signal;
  {
    SpinLockHolder holder(pair.receive_lock, sharing_.several());
    signal = pair.guest->end->receive(pair.index).Publish();
  }
  FAULT_POINT("server.published");
  if (signal) Signal(pair);
}

void Delivery::PublishAll() {
  for (uint32_t i = 0; i < dirty_count_; ++i) {
    dirty(*dirty_[i]) = false;
    Publish(*dirty_[i]);
  }
  dirty_count_ = 0;
}

void Delivery::Signal(Pair& pair) {
  pair.guest->end->Signal(pair.index);
  Count(pair.guest->row, Counter::k_events_sent);
}

void Delivery::Forget(Guest& guest) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < dirty_count_; ++i) {
    if (dirty_[i]->guest != &guest) dirty_[kept++] = dirty_[i];
  }
  dirty_count_ = kept;
  for (Pair& pair : guest.pairs) dirty(pair) = false;
}

void Delivery::Close(Guest& guest, channel::Violation violation) {
  // Once: others may find the same.
  if (!guest.active.exchange(false, std::memory_order_relaxed)) return;
  guest.cut_off.store(violation, std::memory_order_relaxed);
  // Release: who counts it finds the reason.
  sharing_.closed.fetch_add(1, std::memory_order_release);
}

}  // namespace librettos::netserver
