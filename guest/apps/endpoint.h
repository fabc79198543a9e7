// The sockets that a server program listens on: one for each family, on one port.
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/sockets/sockets.h"

namespace librettos::apps {

// Opens and binds sockets of `type` for IPv4 and IPv6 on `port`, and lets streams listen. Entries of `out`
// without a socket are -1. With a shared address it waits up to a minute for a network server that grants the
// port. A family that cannot be had is logged with the reason and what to do. Number of sockets opened.
int OpenEndpoints(std::string_view program, sockets::Type type, uint16_t port, int out[2]);

}  // namespace librettos::apps
