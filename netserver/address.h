// Network addresses as plain values, and how they are written in the registry.
//
// Pure functions and values; any thread. Text comes from the registry and is checked: nothing is accepted in
// part.
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/platform/frame.h"

namespace librettos::netserver {

// An IPv6 address, or an IPv4 address in its mapped form (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2). The
// packet parser refuses mapped addresses inside IPv6 packets, so that one form can never be taken for the
// other.
struct Address {
  uint64_t high = 0;  // Host byte order: the first eight bytes.
  uint64_t low = 0;

  static constexpr Address V4(uint32_t host_order) { return {0, uint64_t{0xffff} << 32 | host_order}; }
  constexpr bool v4() const { return high == 0 && low >> 32 == 0xffff; }
  constexpr bool unspecified() const { return high == 0 && (low == 0 || low == uint64_t{0xffff} << 32); }
  constexpr bool multicast() const { return v4() ? (low >> 28 & 0xf) == 0xe : high >> 56 == 0xff; }
  constexpr bool link_local() const { return !v4() && high >> 54 == 0xfe80 >> 6; }
  constexpr bool operator==(const Address&) const = default;
};

constexpr bool IsMulticast(const MacAddress& mac) { return mac[0] & 1; }  // Broadcast included.

constexpr uint64_t ToNumber(const MacAddress& mac) {
  uint64_t value = 0;
  for (uint8_t byte : mac) value = value << 8 | byte;
  return value;
}

// fe80::/64 with the modified EUI-64 of `mac` (RFC 4291 appendix A).
Address LinkLocal(const MacAddress& mac);

// "02:00:00:00:00:01".
bool ParseMac(std::string_view text, MacAddress& out);
// "10.1.0.5" or "fd00::5", without prefix or zone.
bool ParseAddress(std::string_view text, Address& out);
// Takes the next space-separated word off `text`; empty at the end.
std::string_view NextWord(std::string_view& text);
// A whole word of decimal digits that fits.
bool ParseNumber(std::string_view text, uint64_t max, uint64_t& out);

inline constexpr uint32_t kMaxAddresses = 16;  // Of one guest, and of a shared identity.

struct AddressList {
  Address items[kMaxAddresses];
  uint32_t count = 0;

  bool Contains(const Address& address) const;
  bool Add(const Address& address);  // False: full. One that is there already is not added again.
};

// Space-separated "address/prefix" items, docs/protocols.md. False (and `out` empty): something of it is not
// an address, or there are too many.
bool ParseAddressList(std::string_view text, AddressList& out);

}  // namespace librettos::netserver
