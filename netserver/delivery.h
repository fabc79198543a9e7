// Puts frames into the receive rings of guests, and rings their doorbells.
//
// Loop thread only. Frames are visible to a guest after PublishAll. A guest whose ring content is impossible
// is closed and counted; nobody else notices.
#pragma once

#include "guest/channel/server_end.h"
#include "netserver/guest_table.h"
#include "netserver/packet.h"

namespace librettos::netserver {

class Delivery {
 public:
  explicit Delivery(GuestTable& guests) : guests_(guests) {}

  // To one guest, on the queue pair that `packet`'s flow belongs to. A full ring drops and counts.
  void ToGuest(Guest& guest, const Packet& packet, const OutFrame& frame);
  // To all active guests but `except`; those in direct mode hear the wire by themselves.
  void Flood(const Guest* except, const Packet& packet, const OutFrame& frame);
  void ToAllShared(const Guest* except, const Packet& packet, const OutFrame& frame);

  // A control message. kAgain: no room.
  Status PutControl(Pair& pair, const channel::ControlMessage& message);
  void PublishAll();
  void Signal(Pair& pair);
  // No pair of `guest` is known any more.
  void Forget(Guest& guest);

  // Closes the guest's channel on its account.
  void Close(Guest& guest, channel::Violation violation);
  // Guests that were closed since the last call.
  uint32_t TakeClosed() { return std::exchange(closed_, 0); }

 private:
  void MarkDirty(Pair& pair);
  void Publish(Pair& pair);

  GuestTable& guests_;
  std::array<Pair*, kMaxGuests * channel::kMaxQueuePairs> dirty_;
  uint32_t dirty_count_ = 0;
  uint32_t closed_ = 0;
};

// Whether the guest's rings may be touched now. The channel can lose its guest between two turns.
inline bool Usable(const Guest& guest) { return guest.active && guest.end->active(); }

}  // namespace librettos::netserver
