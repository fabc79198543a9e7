// ICMP errors about packets of ours: what they say, and of which packet. The frame comes from anywhere; what
// it quotes is only believed as far as it names an existing connection, which is the caller's to check.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lwip/ip_addr.h"

namespace librettos::guest {

struct IcmpError {
  enum class Kind : uint8_t {
    kUnreachable,  // Net, host, protocol or port: RFC 792, RFC 1122 section 3.2.2.1; RFC 4443 section 3.1.
    kTooBig,       // RFC 1191 section 4, RFC 4443 section 3.2.
  };
  Kind kind = Kind::kUnreachable;
  bool ipv6 = false;
  bool quotes = false;  // Checksum and quoted headers are good, and the fields below are set.
  uint32_t mtu = 0;     // kTooBig. 0: the router does not say (before RFC 1191).
  ip_addr_t from = {};  // Of the quoted packet: our address,
  ip_addr_t to = {};    // and its peer's.
  uint8_t protocol = 0;
  uint16_t local_port = 0, remote_port = 0;  // TCP and UDP; nonsense for anything else.
  uint32_t sequence = 0;                     // TCP.

  // True if `frame` is an ICMP error of one of these kinds.
  static bool Parse(const std::byte* frame, uint32_t length, IcmpError* out);
};

}  // namespace librettos::guest
