// Byte-wise access to the headers of a frame in private memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace librettos::guest {

inline uint16_t Load16(const std::byte* p) {
  return static_cast<uint16_t>(std::to_integer<uint16_t>(p[0]) << 8 | std::to_integer<uint16_t>(p[1]));
}
inline uint32_t Load32(const std::byte* p) { return uint32_t{Load16(p)} << 16 | Load16(p + 2); }
inline void Store16(std::byte* p, uint16_t v) {
  p[0] = static_cast<std::byte>(v >> 8);
  p[1] = static_cast<std::byte>(v);
}
inline void Store32(std::byte* p, uint32_t v) {
  Store16(p, static_cast<uint16_t>(v >> 16));
  Store16(p + 2, static_cast<uint16_t>(v));
}
inline uint8_t Load8(const std::byte* p) { return std::to_integer<uint8_t>(*p); }

// The Internet checksum's sum (RFC 1071) of big-endian words, folded to 16 bits; `sum` carries on.
inline uint16_t Fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
inline uint64_t Sum(const std::byte* data, size_t length, uint64_t sum = 0) {
  size_t i = 0;
  for (; i + 1 < length; i += 2) sum += Load16(data + i);
  if (i < length) sum += uint64_t{Load8(data + i)} << 8;
  return sum;
}

inline constexpr uint16_t kEtherIpv4 = 0x0800;
inline constexpr uint16_t kEtherIpv6 = 0x86dd;
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolIcmp6 = 58;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolFragment6 = 44;

// The link's and the network's header are whole. lwIP reads an IP header before it asks how much of it there
// is.
inline bool HasHeaders(const std::byte* frame, size_t length) {
  if (length < 14) return false;
  const uint16_t type = Load16(frame + 12);
  return length >= (type == kEtherIpv4 ? 34u : type == kEtherIpv6 ? 54u : 14u);
}

// Where the transport header of a frame is. Without extension headers: this stack sends none before TCP and
// UDP.
struct Layout {
  bool ipv6 = false;
  uint8_t protocol = 0;       // 0: neither TCP nor UDP, or a fragment.
  uint32_t transport = 0;     // Offset from the Ethernet header.
  uint32_t header_bytes = 0;  // Up to the payload.
};

// `length`: contiguous bytes at `frame`. Only what lies within is looked at; protocol 0 if it does not
// suffice.
inline Layout Dissect(const std::byte* frame, size_t length) {
  Layout layout;
  if (length < 34) return layout;
  uint16_t type = Load16(frame + 12);
  uint8_t protocol;
  if (type == kEtherIpv4) {
    uint32_t header = (Load8(frame + 14) & 0xf) * 4u;
    if (header < 20 || (Load16(frame + 20) & 0x3fff) != 0) return layout;
    protocol = Load8(frame + 23);
    layout.transport = 14 + header;
  } else if (type == kEtherIpv6 && length >= 54) {
    layout.ipv6 = true;
    protocol = Load8(frame + 20);
    layout.transport = 54;
  } else {
    return layout;
  }
  if (protocol == kProtocolTcp && length >= layout.transport + 20) {
    layout.header_bytes = layout.transport + (Load8(frame + layout.transport + 12) >> 4) * 4u;
    if (layout.header_bytes < layout.transport + 20 || layout.header_bytes > length) return layout;
    layout.protocol = protocol;
  } else if (protocol == kProtocolUdp && length >= layout.transport + 8) {
    layout.header_bytes = layout.transport + 8;
    layout.protocol = protocol;
  }
  return layout;
}

// The pseudo-header's sum for `bytes` of transport header and payload.
inline uint64_t PseudoSum(const std::byte* frame, const Layout& layout, uint32_t bytes) {
  uint64_t sum = layout.ipv6 ? Sum(frame + 22, 32) : Sum(frame + 26, 8);
  return sum + layout.protocol + (bytes >> 16) + (bytes & 0xffff);
}

}  // namespace librettos::guest
