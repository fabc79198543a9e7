// Whether a guest may send a frame: that it gives itself out for nobody else.
//
// Loop thread only. Works on the parsed private copy of the headers, which is what is sent.
#pragma once

#include "netserver/fate.h"
#include "netserver/fragment_table.h"
#include "netserver/guest_table.h"
#include "netserver/lease_table.h"
#include "netserver/packet.h"

namespace librettos::netserver {

// kForwarded: it may. `sent` remembers first fragments of guests on a shared address, whose later fragments
// carry no port.
Fate CheckSource(const Packet& packet, const Guest& guest, const AddressList& shared,
                 const LeaseTable& leases, FragmentTable& sent, Nanoseconds now);

// Whether what is left for hardware to do fits what the headers say. Hardware must not be led to write into
// headers that were checked.
bool OffloadFits(const Packet& packet, const Offload& offload);

}  // namespace librettos::netserver
