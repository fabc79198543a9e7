// Puts frames into the receive rings of guests, and rings their doorbells.
//
// Each forwarding loop has its own. Frames are visible to a guest after PublishAll. A guest whose ring
// content is impossible is cut off and counted; nobody else notices.
#pragma once

#include "guest/channel/server_end.h"
#include "netserver/guest_table.h"
#include "netserver/packet.h"
#include "netserver/sharing.h"

namespace librettos::netserver {

class Delivery {
 public:
  Delivery(GuestTable& guests, Sharing& sharing) : guests_(guests), sharing_(sharing) {}

  // To one guest, on the queue pair that `packet`'s flow belongs to. A full ring drops and counts.
  void ToGuest(Guest& guest, const Packet& packet, const OutFrame& frame);
  // To all active guests but `except`; those in direct mode hear the wire by themselves.
  void Flood(const Guest* except, const Packet& packet, const OutFrame& frame);
  void ToAllShared(const Guest* except, const Packet& packet, const OutFrame& frame);

  // A control message. kAgain: no room.
  Status PutControl(Pair& pair, const channel::ControlMessage& message);
  bool HasRoom(Pair& pair);
  // Has the guest ring once there is room. False: there is, or never will be.
  bool ArmRoom(Pair& pair);
  void PublishAll();
  void Signal(Pair& pair);
  // No pair of `guest` is known any more.
  void Forget(Guest& guest);

  // Cuts the guest off on its account. The server's loop then closes its channel.
  void Close(Guest& guest, channel::Violation violation);

 private:
  void MarkDirty(Pair& pair);
  void Publish(Pair& pair);

  bool& dirty(const Pair& pair) { return is_dirty_[pair.guest->slot * channel::kMaxQueuePairs + pair.index]; }

  GuestTable& guests_;
  Sharing& sharing_;
  // Pairs whose receive rings have frames of ours that are not published.
  std::array<Pair*, kMaxGuests * channel::kMaxQueuePairs> dirty_;
  std::array<bool, kMaxGuests * channel::kMaxQueuePairs> is_dirty_{};
  uint32_t dirty_count_ = 0;
};

// Whether the guest's rings may be touched now. The channel can lose its guest between two turns.
inline bool Usable(const Guest& guest) { return guest.active && guest.end->active(); }

}  // namespace librettos::netserver
