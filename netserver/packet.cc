#include "netserver/packet.h"

#include <cstring>

namespace librettos::netserver {
namespace {

constexpr int kMaxExtensionHeaders = 8;

// Bounds: `end` is where the packet ends by its own account, never beyond the frame; `copied` is how much of
// the frame can be read at all.
struct Reader {
  const std::byte* data;
  uint32_t copied;
  uint32_t end;

  Parsed Need(uint32_t offset, uint32_t bytes) const {
    if (offset + bytes > end) return Parsed::kMalformed;
    return offset + bytes > copied ? Parsed::kUnsupported : Parsed::kOk;
  }
  uint8_t U8(uint32_t offset) const { return static_cast<uint8_t>(data[offset]); }
  uint16_t U16(uint32_t offset) const { return static_cast<uint16_t>(U8(offset) << 8 | U8(offset + 1)); }
  uint32_t U32(uint32_t offset) const { return uint32_t{U16(offset)} << 16 | U16(offset + 2); }
  uint64_t U64(uint32_t offset) const { return uint64_t{U32(offset)} << 32 | U32(offset + 4); }
  MacAddress Mac(uint32_t offset) const {
    MacAddress mac;
    memcpy(mac.data(), data + offset, 6);
    return mac;
  }
  Address V6(uint32_t offset) const { return {U64(offset), U64(offset + 8)}; }
};

#define NEED(offset, bytes)                                                    \
  do {                                                                         \
    if (Parsed need = r.Need(offset, bytes); need != Parsed::kOk) return need; \
  } while (false)

struct Ip {
  Address source, destination;
  uint8_t protocol = 0;
  uint8_t hop_limit = 0;
  uint32_t transport = 0;
  bool fragment = false, first = true;
  uint32_t id = 0;
};

// `quoted`: the packet is cut off by whoever quoted it, so its length says nothing.
Parsed ReadIpv4(Reader& r, uint32_t at, bool quoted, Ip& ip) {
  NEED(at, 20);
  uint32_t header = (r.U8(at) & 15u) * 4, total = r.U16(at + 2);
  if (r.U8(at) >> 4 != 4 || header < 20 || total < header) return Parsed::kMalformed;
  if (!quoted) {
    if (at + total > r.end) return Parsed::kMalformed;
    r.end = at + total;
  }
  NEED(at, header);
  uint16_t word = r.U16(at + 6);
  uint32_t offset = (word & 0x1fffu) * 8;
  bool more = word & 0x2000;
  ip.fragment = more || offset;
  ip.first = offset == 0;
  ip.id = r.U16(at + 4);
  // RFC 791 section 3.2: all but the last fragment come in units of 8 bytes, and nothing ends beyond 65535.
  if (!quoted && ip.fragment &&
      (offset + total > 65535 || (more && (total - header) % 8) || total == header)) {
    return Parsed::kMalformed;
  }
  ip.hop_limit = r.U8(at + 8);
  ip.protocol = r.U8(at + 9);
  ip.source = Address::V4(r.U32(at + 12));
  ip.destination = Address::V4(r.U32(at + 16));
  ip.transport = at + header;
  return Parsed::kOk;
}

Parsed ReadIpv6(Reader& r, uint32_t at, bool quoted, Ip& ip) {
  NEED(at, 40);
  if (r.U8(at) >> 4 != 6) return Parsed::kMalformed;
  uint32_t payload = r.U16(at + 4);
  if (!quoted) {
    if (at + 40 + payload > r.end) return Parsed::kMalformed;
    r.end = at + 40 + payload;
  }
  ip.hop_limit = r.U8(at + 7);
  ip.source = r.V6(at + 8);
  ip.destination = r.V6(at + 24);
  // Mapped addresses do not belong on a wire (RFC 6890), and would be taken for IPv4 here.
  if (ip.source.v4() || ip.destination.v4()) return Parsed::kMalformed;
  uint8_t next = r.U8(at + 6);
  uint32_t offset = at + 40;
  for (int i = 0; i <= kMaxExtensionHeaders; ++i) {
    ip.protocol = next;
    ip.transport = offset;
    switch (next) {
      case 0:   // Hop-by-hop options
      case 43:  // Routing
      case 60:  // Destination options
        NEED(offset, 8);
        // RFC 8200 section 4.1: hop-by-hop options stand first or not at all. RFC 5095: type 0 is not
        // forwarded.
        if (next == 0 && i) return Parsed::kMalformed;
        if (next == 43 && r.U8(offset + 2) == 0) return Parsed::kUnsupported;
        next = r.U8(offset);
        offset += (r.U8(offset + 1) + 1u) * 8;
        break;
      case 51:  // Authentication header
        NEED(offset, 12);
        next = r.U8(offset);
        offset += (r.U8(offset + 1) + 2u) * 4;
        break;
      case 44: {
        NEED(offset, 8);
        if (ip.fragment) return Parsed::kMalformed;
        uint16_t word = r.U16(offset + 2);
        uint32_t start = word & 0xfff8u, length = r.end - offset - 8;
        bool more = word & 1;
        // An atomic fragment (RFC 6946) is a whole packet.
        ip.fragment = more || start;
        ip.first = start == 0;
        ip.id = r.U32(offset + 4);
        if (!quoted && ip.fragment && (!length || (more && length % 8) || start + length > 65535)) {
          return Parsed::kMalformed;
        }
        next = r.U8(offset);
        offset += 8;
        if (!ip.first) {
          ip.protocol = next;
          ip.transport = offset;
          return Parsed::kOk;
        }
        break;
      }
      default:
        return Parsed::kOk;
    }
    if (offset > r.end) return Parsed::kMalformed;
  }
  return Parsed::kUnsupported;
}

Parsed ReadNeighbourDiscovery(const Reader& r, uint32_t at, Packet& out) {
  uint32_t options = at + 8;
  if (out.icmp_type == kNeighbourSolicitation || out.icmp_type == kNeighbourAdvertisement) {
    NEED(at, 24);
    out.nd_target = r.V6(at + 8);
    if (out.nd_target.multicast() || out.nd_target.v4()) return Parsed::kMalformed;
    options = at + 24;
  } else if (out.icmp_type == kRouterAdvertisement) {
    options = at + 16;
  } else if (out.icmp_type == kRedirect6) {
    options = at + 40;
  }
  NEED(at, options - at);
  while (options < r.end) {
    NEED(options, 8);
    uint32_t length = r.U8(options + 1) * 8u;
    if (!length) return Parsed::kMalformed;  // RFC 4861 section 4.6
    uint8_t type = r.U8(options);
    if (type == 1 || type == 2) {
      // A second one could say something else than the one that was checked.
      if (out.has_link_address || length != 8) return Parsed::kMalformed;
      out.has_link_address = true;
      out.link_address = r.Mac(options + 2);
    }
    options += length;
    if (options > r.end) return Parsed::kMalformed;
  }
  return Parsed::kOk;
}

void ReadQuote(const Reader& outer, uint32_t at, bool v6, Packet& out) {
  Reader r = outer;
  Ip ip;
  Parsed parsed = v6 ? ReadIpv6(r, at, true, ip) : ReadIpv4(r, at, true, ip);
  if (parsed != Parsed::kOk || !ip.first || (ip.protocol != kTcp && ip.protocol != kUdp) ||
      r.Need(ip.transport, 4) != Parsed::kOk) {
    return;
  }
  out.has_quote = true;
  out.quote_source = ip.source;
  out.quote_destination = ip.destination;
  out.quote_protocol = ip.protocol;
  out.quote_source_port = r.U16(ip.transport);
  out.quote_destination_port = r.U16(ip.transport + 2);
}

Parsed ReadIcmp(const Reader& r, const Ip& ip, bool v6, Packet& out) {
  uint32_t at = ip.transport;
  NEED(at, 8);
  out.has_icmp = true;
  out.icmp_type = r.U8(at);
  out.icmp_code = r.U8(at + 1);
  if (!v6) {
    out.icmp_error = (out.icmp_type >= 3 && out.icmp_type <= 5) || out.icmp_type == 11 || out.icmp_type == 12;
  } else {
    out.icmp_error = out.icmp_type < 128;
    out.neighbour_discovery = out.icmp_type >= kRouterSolicitation && out.icmp_type <= kRedirect6;
  }
  if (out.icmp_error) ReadQuote(r, at + 8, v6, out);
  if (!out.neighbour_discovery) return Parsed::kOk;
  // RFC 4861 section 7.1: anything else came from beyond the link. RFC 6980: never in fragments.
  if (ip.hop_limit != 255 || out.icmp_code != 0 || ip.fragment) return Parsed::kMalformed;
  return ReadNeighbourDiscovery(r, at, out);
}

Parsed ReadTransport(const Reader& r, const Ip& ip, bool v6, Packet& out) {
  uint32_t at = ip.transport;
  if (ip.fragment && !ip.first) return Parsed::kOk;
  if (ip.protocol == kTcp) {
    // A first fragment too short for the whole header is an evasion (RFC 1858, RFC 7112).
    NEED(at, 20);
    if ((r.U8(at + 12) >> 4) < 5 || at + (r.U8(at + 12) >> 4) * 4u > r.end) return Parsed::kMalformed;
  } else if (ip.protocol == kUdp) {
    NEED(at, 8);
    uint32_t length = r.U16(at + 4);
    if (length < 8 || (!ip.fragment && at + length > r.end)) return Parsed::kMalformed;
  } else if (ip.protocol == (v6 ? kIcmp6 : kIcmp)) {
    return ReadIcmp(r, ip, v6, out);
  } else {
    return Parsed::kOk;
  }
  out.has_ports = true;
  out.source_port = r.U16(at);
  out.destination_port = r.U16(at + 2);
  return Parsed::kOk;
}

Parsed ReadArp(const Reader& r, Packet& out) {
  uint32_t at = kEthernetHeaderBytes;
  NEED(at, 28);
  // RFC 826 for Ethernet and IPv4.
  if (r.U16(at) != 1 || r.U16(at + 2) != kEtherIpv4 || r.U8(at + 4) != 6 || r.U8(at + 5) != 4) {
    return Parsed::kMalformed;
  }
  out.network = Network::kArp;
  out.arp_operation = r.U16(at + 6);
  if (out.arp_operation != kArpRequest && out.arp_operation != kArpReply) return Parsed::kUnsupported;
  out.arp_sender_mac = r.Mac(at + 8);
  out.source = Address::V4(r.U32(at + 14));
  out.destination = Address::V4(r.U32(at + 24));
  // RFC 1812 section 3.3.2: a group is nobody's address.
  return IsMulticast(out.arp_sender_mac) || out.source.multicast() ? Parsed::kMalformed : Parsed::kOk;
}

}  // namespace

Parsed Parse(std::span<const std::byte> header, uint32_t frame_length, Packet& out) {
  out = {};
  Reader r{header.data(), static_cast<uint32_t>(header.size()), frame_length};
  if (frame_length > kMaxFrameBytes) return Parsed::kMalformed;
  NEED(0, kEthernetHeaderBytes);
  out.destination_mac = r.Mac(0);
  out.source_mac = r.Mac(6);
  if (IsMulticast(out.source_mac)) return Parsed::kMalformed;
  uint16_t type = r.U16(12);
  if (type == kEtherArp) return ReadArp(r, out);
  if (type != kEtherIpv4 && type != kEtherIpv6) return Parsed::kUnsupported;
  bool v6 = type == kEtherIpv6;
  Ip ip;
  Parsed parsed =
      v6 ? ReadIpv6(r, kEthernetHeaderBytes, false, ip) : ReadIpv4(r, kEthernetHeaderBytes, false, ip);
  if (parsed != Parsed::kOk) return parsed;
  if (ip.source.multicast()) return Parsed::kMalformed;
  out.network = v6 ? Network::kIpv6 : Network::kIpv4;
  out.network_offset = kEthernetHeaderBytes;
  out.source = ip.source;
  out.destination = ip.destination;
  out.protocol = ip.protocol;
  out.transport_offset = static_cast<uint16_t>(ip.transport);
  out.end = r.end;
  out.fragment = ip.fragment;
  out.first_fragment = ip.fragment && ip.first;
  out.fragment_id = ip.id;
  return ReadTransport(r, ip, v6, out);
}

}  // namespace librettos::netserver
