// IP and hardware addresses as they stand in specifications.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace librettos::daemon {

struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes = {};  // IPv4: the first four.
  uint8_t prefix = 0;                  // 0 if none was given.

  // Text in canonical form (RFC 5952), without the prefix.
  std::string Host() const;
  std::string WithPrefix() const;
  bool SameHost(const IpAddress& other) const { return v6 == other.v6 && bytes == other.bytes; }
  // Whether `other` lies in the subnet of this address.
  bool Contains(const IpAddress& other) const;
};

// "10.1.0.5/24". On failure nullopt and `why` says what is wrong ("has no prefix length").
std::optional<IpAddress> ParseInterfaceAddress(absl::string_view text, std::string* why);
// "10.1.0.1", a host that frames can be sent to.
std::optional<IpAddress> ParseHostAddress(absl::string_view text, std::string* why);

// Canonical "02:00:00:00:00:01" of a unicast hardware address, or nullopt and `why`.
std::optional<std::string> ParseMac(absl::string_view text, std::string* why);

// A locally administered unicast address that depends on `name` only: the same on every host and release.
std::string DeriveMac(absl::string_view name);

}  // namespace librettos::daemon
