#include "guest/net/icmp_error.h"

#include <cstring>

#include "guest/net/headers.h"

namespace librettos::guest {

namespace {

constexpr uint32_t kTransportBytes = 8;  // What RFC 792 has quoted of the transport header at least.

ip_addr_t Address(const std::byte* at, bool ipv6) {
  ip_addr_t out = {};
  if (ipv6) {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V6);
    std::memcpy(&ip_2_ip6(&out)->addr, at, 16);
  } else {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V4);
    std::memcpy(&ip_2_ip4(&out)->addr, at, 4);
  }
  return out;
}

// `at`: where the quoted packet starts.
void ReadQuote(const std::byte* frame, uint32_t at, uint32_t end, IcmpError* out) {
  const std::byte* ip = frame + at;
  uint32_t header = 40;
  if (end < at + (out->ipv6 ? 40u : 20u) || Load8(ip) >> 4 != (out->ipv6 ? 6 : 4)) return;
  if (out->ipv6) {
    out->protocol = Load8(ip + 6);
    out->from = Address(ip + 8, true);
    out->to = Address(ip + 24, true);
  } else {
    header = (Load8(ip) & 0xf) * 4u;
    if (header < 20 || (Load16(ip + 6) & 0x1fff) != 0) return;  // Not the fragment with the ports.
    out->protocol = Load8(ip + 9);
    out->from = Address(ip + 12, false);
    out->to = Address(ip + 16, false);
  }
  if (end < at + header + kTransportBytes) return;
  out->local_port = Load16(ip + header);
  out->remote_port = Load16(ip + header + 2);
  out->sequence = Load32(ip + header + 4);
  out->quotes = true;
}

}  // namespace

bool IcmpError::Parse(const std::byte* frame, uint32_t length, IcmpError* out) {
  *out = {};
  if (length < 14 + 20 + 8) return false;
  uint32_t icmp, end;
  uint64_t sum = 0;
  uint8_t type, code;
  if (Load16(frame + 12) == kEtherIpv4) {
    icmp = 14 + (Load8(frame + 14) & 0xf) * 4u;
    if (Load8(frame + 23) != kProtocolIcmp || icmp < 34 || length < icmp + 8 ||
        (Load16(frame + 20) & 0x3fff) != 0) {
      return false;
    }
    type = Load8(frame + icmp);
    code = Load8(frame + icmp + 1);
    if (type != 3 || code > 4) return false;
    out->kind = code == 4 ? Kind::kTooBig : Kind::kUnreachable;
    out->mtu = Load16(frame + icmp + 6);
    end = 14u + Load16(frame + 16);
  } else if (Load16(frame + 12) == kEtherIpv6) {
    icmp = 54;
    if (length < icmp + 8 || Load8(frame + 20) != kProtocolIcmp6) return false;
    out->ipv6 = true;
    type = Load8(frame + icmp);
    code = Load8(frame + icmp + 1);
    if (type != 2 && (type != 1 || (code != 0 && code != 3 && code != 4))) return false;
    out->kind = type == 2 ? Kind::kTooBig : Kind::kUnreachable;
    out->mtu = Load32(frame + icmp + 4);
    end = icmp + Load16(frame + 18);
    sum = PseudoSum(frame, Layout{true, kProtocolIcmp6, icmp, 0}, end - icmp);
  } else {
    return false;
  }
  if (end > length || end < icmp + 8 || Fold(Sum(frame + icmp, end - icmp, sum)) != 0xffff) return true;
  ReadQuote(frame, icmp + 8, end, out);
  return true;
}

}  // namespace librettos::guest
