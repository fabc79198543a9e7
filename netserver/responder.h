// What the server itself answers for the shared addresses: ARP, neighbour solicitations and echo requests,
// for these belong to no one guest.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "netserver/packet.h"

namespace librettos::netserver {

// Turns the request in `frame` (private memory, the whole frame, parsed as `packet`) into its answer from
// `mac`, in place. Returns the answer's length, at most frame.size(); 0: there is none. `frame` has room for
// at least 86 bytes (neighbour advertisement), of which `length` are the request.
uint32_t Respond(const Packet& packet, const MacAddress& mac, std::span<std::byte> frame, uint32_t length);

}  // namespace librettos::netserver
