// Where a frame goes.
//
// Loop thread only. Decides from parsed headers and the tables; changes nothing but the fragment table.
//
// What goes to a group goes to all guests only if it can concern them: a question for an address goes to who
// has it, and what is for routers to none. Otherwise the chatter of n guests would cost n * n deliveries.
#pragma once

#include "netserver/fate.h"
#include "netserver/fragment_table.h"
#include "netserver/guest_table.h"
#include "netserver/lease_table.h"
#include "netserver/packet.h"

namespace librettos::netserver {

struct Verdict {
  enum class Local : uint8_t {
    kNone,
    kOne,        // `guest`
    kAllShared,  // All guests on the shared addresses but the sender.
    kFlood,      // All guests but the sender and those that are in direct mode.
    kRespond,    // The server answers by itself.
    kHold,       // A fragment from the wire that came before its first one.
  };
  bool wire = false;
  Local local = Local::kNone;
  Guest* guest = nullptr;
  bool new_datagram = false;     // A first fragment: what was held for it can go to `guest`.
  Fate fate = Fate::kForwarded;  // Why neither.
};

class Demultiplexer {
 public:
  Demultiplexer(const GuestTable& guests, const LeaseTable& leases) : guests_(guests), leases_(leases) {}

  // The NIC's MAC is the MAC of the shared addresses; its link-local address is one of them.
  void SetShared(const AddressList& addresses, const MacAddress& mac);
  const AddressList& shared() const { return shared_; }
  const MacAddress& shared_mac() const { return shared_mac_; }

  Verdict FromWire(const Packet& packet, Nanoseconds now);
  // The source was checked.
  Verdict FromGuest(const Packet& packet, const Guest& from, Nanoseconds now);

  FragmentTable& received() { return received_; }
  void Forget(const Guest& guest) { received_.Forget(guest.slot); }

 private:
  Verdict ToOne(Guest* guest, const Guest* from) const;
  Verdict ToSharedMac(const Packet& packet, const Guest* from, Nanoseconds now);
  Verdict ToSharedAddress(const Packet& packet, const Guest* from, Nanoseconds now);

  const GuestTable& guests_;
  const LeaseTable& leases_;
  AddressList shared_;
  MacAddress shared_mac_{};
  FragmentTable received_;  // Of datagrams to shared addresses.
};

}  // namespace librettos::netserver
