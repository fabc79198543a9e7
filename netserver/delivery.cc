#include "netserver/delivery.h"

#include "guest/platform/fault_point.h"
#include "netserver/text.h"

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
  Status status = ring.Put(frame);
  if (status.error() == Error::kAgain && pair.dirty) {
    // The guest may be asleep on top of a full ring that it was not told of.
    Publish(pair);
    status = ring.Put(frame);
  }
  if (status.ok()) {
    Count(guest.row, Counter::k_rx_frames);
    Count(guest.row, Counter::k_rx_bytes, frame.length);
    MarkDirty(pair);
    return;
  }
  if (ring.violation() != channel::Violation::kNone) return Close(guest, ring.violation());
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
  Status status = pair.guest->end->receive(pair.index).PutControl(message);
  if (status.ok()) MarkDirty(pair);
  return status;
}

void Delivery::MarkDirty(Pair& pair) {
  if (pair.dirty) return;
  pair.dirty = true;
  dirty_[dirty_count_++] = &pair;
}

void Delivery::Publish(Pair& pair) {
  if (!Usable(*pair.guest)) return;
  const bool wanted = pair.guest->end->receive(pair.index).Publish();
  FAULT_POINT("server.published");
  if (wanted) Signal(pair);
}

void Delivery::PublishAll() {
  for (uint32_t i = 0; i < dirty_count_; ++i) {
    dirty_[i]->dirty = false;
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
  for (Pair& pair : guest.pairs) pair.dirty = false;
}

void Delivery::Close(Guest& guest, channel::Violation violation) {
  guest.end->Close(violation);
  guest.active = false;
  Set(guest.row, Counter::k_violation, static_cast<uint64_t>(violation));
  ++closed_;
  Log(Text()
          .Add("channel of guest ")
          .Add(guest.id)
          .Add(" closed: ")
          .Add(channel::ToString(violation))
          .Add("; restart the guest to connect it again")
          .view());
}

}  // namespace librettos::netserver
