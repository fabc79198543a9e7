// Frames for the unit tests of this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "netserver/address.h"
#include "netserver/packet.h"

namespace librettos::netserver::testing {

using Bytes = std::vector<std::byte>;

inline Address A(std::string_view text) {
  Address address;
  if (!ParseAddress(text, address)) __builtin_trap();
  return address;
}
inline MacAddress M(uint8_t last) { return {2, 0, 0, 0, 0, last}; }
inline constexpr MacAddress kBroadcast = {255, 255, 255, 255, 255, 255};

inline void Add(Bytes& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}
inline void Add(Bytes& out, const MacAddress& mac) {
  for (uint8_t byte : mac) out.push_back(static_cast<std::byte>(byte));
}
inline void Add(Bytes& out, const Address& address) {
  if (address.v4()) return Add(out, address.low & 0xffffffff, 4);
  Add(out, address.high, 8);
  Add(out, address.low, 8);
}
inline void Add(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

inline Bytes Ethernet(const MacAddress& from, const MacAddress& to, uint16_t type) {
  Bytes out;
  Add(out, to);
  Add(out, from);
  Add(out, type, 2);
  return out;
}

struct Ip4 {
  uint8_t protocol = kUdp;
  uint16_t id = 7;
  uint16_t offset = 0;  // Bytes.
  bool more = false;
  int options = 0;  // Bytes, a multiple of 4.
};

inline Bytes Ipv4(const Address& from, const Address& to, const Bytes& payload, const Ip4& ip = {}) {
  Bytes out;
  Add(out, 0x45 + ip.options / 4, 1);
  Add(out, 0, 1);
  Add(out, 20 + ip.options + payload.size(), 2);
  Add(out, ip.id, 2);
  Add(out, (ip.more ? 0x2000 : 0) | ip.offset / 8, 2);
  Add(out, 64, 1);
  Add(out, ip.protocol, 1);
  Add(out, 0, 2);
  Add(out, from);
  Add(out, to);
  for (int i = 0; i < ip.options; ++i) Add(out, 1, 1);
  Add(out, payload);
  return out;
}

inline Bytes Ipv6(const Address& from, const Address& to, uint8_t next, const Bytes& payload,
                  uint8_t hops = 64) {
  Bytes out;
  Add(out, 0x60000000, 4);
  Add(out, payload.size(), 2);
  Add(out, next, 1);
  Add(out, hops, 1);
  Add(out, from);
  Add(out, to);
  Add(out, payload);
  return out;
}

inline Bytes Udp(uint16_t from, uint16_t to, size_t data = 8) {
  Bytes out;
  Add(out, from, 2);
  Add(out, to, 2);
  Add(out, 8 + data, 2);
  Add(out, 0, 2);
  out.resize(8 + data, std::byte{0x55});
  return out;
}

inline Bytes Tcp(uint16_t from, uint16_t to, size_t data = 0) {
  Bytes out;
  Add(out, from, 2);
  Add(out, to, 2);
  Add(out, 0, 8);
  Add(out, 0x5010, 2);
  Add(out, 0, 6);
  out.resize(20 + data);
  return out;
}

inline Bytes Icmp(uint8_t type, const Bytes& body = {}) {
  Bytes out;
  Add(out, type, 1);
  Add(out, 0, 7);
  Add(out, body);
  return out;
}

inline Bytes Nd(uint8_t type, const Address& target, const MacAddress* link, uint8_t option = 1) {
  Bytes out = Icmp(type);
  Add(out, target);
  if (link) {
    Add(out, option, 1);
    Add(out, 1, 1);
    Add(out, *link);
  }
  return out;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  Add(a, b);
  return a;
}

inline Bytes Arp(uint16_t operation, const MacAddress& mac, const Address& sender, const Address& target,
                 const MacAddress& to = kBroadcast) {
  Bytes out = Ethernet(mac, to, kEtherArp);
  Add(out, 0x0001080006040000 | operation, 8);
  Add(out, mac);
  Add(out, sender);
  Add(out, operation == kArpRequest ? MacAddress{} : to);
  Add(out, target);
  return out;
}

inline Bytes Udp4(const MacAddress& mac, const MacAddress& to_mac, std::string_view from, std::string_view to,
                  uint16_t from_port, uint16_t to_port, size_t data = 8) {
  return Ethernet(mac, to_mac, kEtherIpv4) + Ipv4(A(from), A(to), Udp(from_port, to_port, data));
}

// Parses a whole frame as the forwarder does: only its first bytes are seen. From the heap, without slack, so
// that a sanitizer sees any read outside.
inline Parsed ParseFrame(const Bytes& frame, Packet& out) {
  Bytes copy(frame.begin(), frame.begin() + std::min(frame.size(), kPacketHeaderBytes));
  copy.shrink_to_fit();
  return Parse(copy, static_cast<uint32_t>(frame.size()), out);
}

inline uint32_t FoldedSum(const std::byte* data, size_t bytes, uint64_t sum = 0) {
  for (size_t i = 0; i < bytes; ++i) sum += static_cast<uint32_t>(data[i]) << (i % 2 ? 0 : 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

}  // namespace librettos::netserver::testing
