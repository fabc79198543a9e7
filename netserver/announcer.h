// Tells the segment where the addresses that a server answers for are reached from now on: a gratuitous ARP
// (RFC 5227 section 3) or an unsolicited neighbour advertisement (RFC 4861 section 7.2.6) for each, sent from
// the hardware address that has it, so that switches learn the port.
//
// Loop thread only; never blocks, never allocates. A few frames per turn, so that forwarding goes on.
#pragma once

#include <cstdint>

#include "drivers/net/nic.h"
#include "netserver/guest_table.h"

namespace librettos::netserver {

// Writes the announcement of `address` by `mac` to `frame`, and returns its length.
inline constexpr uint32_t kMaxAnnouncementBytes = 86;
uint32_t Announcement(const Address& address, const MacAddress& mac,
                      std::span<std::byte, kMaxAnnouncementBytes> frame);

class Announcer final {
 public:
  static constexpr uint32_t kBatch = 16;  // Frames per turn.

  explicit Announcer(const GuestTable& guests) : guests_(guests) {}

  // Everything, from the beginning: `shared` as of `mac`, and all active guests that are in server mode and
  // have addresses of their own.
  void Start(const AddressList& shared, const MacAddress& mac);
  // A guest that became active after Start. Others may be announced once more.
  void Include(const Guest& guest);
  void Stop() { pending_ = false; }
  bool pending() const { return pending_; }
  // True: something was sent. Until it is no longer pending it wants another turn.
  bool Turn(Nic& nic);

 private:
  // The address at the cursor and who has it. False: there is none there.
  bool Next(Address& address, MacAddress& mac) const;

  const GuestTable& guests_;
  AddressList shared_;
  MacAddress mac_{};
  bool pending_ = false;
  // The cursor: an address of group 0, which is the shared ones, or of group n + 1, which is the guest in
  // slot n.
  uint32_t group_ = 0;
  uint32_t item_ = 0;
};

}  // namespace librettos::netserver
