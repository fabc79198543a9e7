#include "daemon/addresses.h"

#include <arpa/inet.h>

#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "hypervisor/fnv.h"

namespace librettos::daemon {
namespace {

bool IsUnicast(const IpAddress& address, std::string* why) {
  const auto& b = address.bytes;
  if (!address.v6) {
    if (b[0] == 0) return *why = "is in 0.0.0.0/8, which no host can have", false;
    if (b[0] == 127) return *why = "is a loopback address", false;
    if (b[0] >= 224) return *why = "is a multicast, reserved or broadcast address", false;
    return true;
  }
  static constexpr std::array<uint8_t, 16> kNone = {};
  static constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (b == kNone) return *why = "is the unspecified address", false;
  if (b == kLoopback) return *why = "is the loopback address", false;
  if (b[0] == 0xff) return *why = "is a multicast address", false;
  if (std::memcmp(b.data(), kMapped.data(), kMapped.size()) == 0)
    return *why = "is an IPv4-mapped address", false;
  return true;
}

uint32_t AsNumber(const IpAddress& address) {
  return uint32_t{address.bytes[0]} << 24 | uint32_t{address.bytes[1]} << 16 |
         uint32_t{address.bytes[2]} << 8 | address.bytes[3];
}

}  // namespace

std::string IpAddress::Host() const {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof(text));
  return text;
}

std::string IpAddress::WithPrefix() const { return absl::StrCat(Host(), "/", prefix); }

bool IpAddress::Contains(const IpAddress& other) const {
  if (v6 != other.v6) return false;
  for (int bit = 0; bit < prefix; ++bit) {
    uint8_t mask = 0x80 >> (bit % 8);
    if ((bytes[bit / 8] & mask) != (other.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

std::optional<IpAddress> ParseHostAddress(absl::string_view text, std::string* why) {
  IpAddress address;
  address.v6 = text.find(':') != absl::string_view::npos;
  // A NUL inside would make inet_pton see a shorter text.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != absl::string_view::npos ||
      inet_pton(address.v6 ? AF_INET6 : AF_INET, std::string(text).c_str(), address.bytes.data()) != 1) {
    *why = "is not an IPv4 or IPv6 address";
    return std::nullopt;
  }
  if (!IsUnicast(address, why)) return std::nullopt;
  return address;
}

std::optional<IpAddress> ParseInterfaceAddress(absl::string_view text, std::string* why) {
  auto slash = text.find('/');
  if (slash == absl::string_view::npos) {
    *why = "has no prefix length";
    return std::nullopt;
  }
  auto address = ParseHostAddress(text.substr(0, slash), why);
  if (!address.has_value()) return std::nullopt;
  absl::string_view digits = text.substr(slash + 1);
  uint32_t prefix = 0;
  uint32_t max = address->v6 ? 128 : 32;
  if (digits.empty() || digits.size() > 3 ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &prefix) || prefix < 1 || prefix > max) {
    *why = absl::StrCat("has a prefix length that is not 1 to ", max);
    return std::nullopt;
  }
  address->prefix = static_cast<uint8_t>(prefix);
  if (!address->v6 && prefix < 31) {
    uint32_t host = AsNumber(*address) & (0xffffffffu >> prefix);
    if (host == 0) *why = "is the address of the network itself";
    if (host == (0xffffffffu >> prefix)) *why = "is the broadcast address of its network";
    if (host == 0 || host == (0xffffffffu >> prefix)) return std::nullopt;
  }
  return address;
}

std::optional<std::string> ParseMac(absl::string_view text, std::string* why) {
  std::array<uint8_t, 6> bytes = {};
  *why = "is not a hardware address of the form 02:00:00:00:00:01";
  if (text.size() != 17) return std::nullopt;
  for (int i = 0; i < 6; ++i) {
    uint32_t value = 0;
    absl::string_view pair = text.substr(i * 3, 2);
    if (i < 5 && text[i * 3 + 2] != ':') return std::nullopt;
    if (pair.find_first_not_of("0123456789abcdefABCDEF") != absl::string_view::npos) return std::nullopt;
    if (!absl::SimpleHexAtoi(pair, &value)) return std::nullopt;
    bytes[i] = static_cast<uint8_t>(value);
  }
  if (bytes == std::array<uint8_t, 6>{}) return *why = "is all zero", std::nullopt;
  if (bytes[0] & 1) return *why = "is a multicast hardware address", std::nullopt;
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                         bytes[5]);
}

std::string DeriveMac(absl::string_view name) {
  uint64_t hash = Fnv1a(name);
  hash ^= hash >> 40;
  return absl::StrFormat("02:%02x:%02x:%02x:%02x:%02x", (hash >> 32) & 0xff, (hash >> 24) & 0xff,
                         (hash >> 16) & 0xff, (hash >> 8) & 0xff, hash & 0xff);
}

}  // namespace librettos::daemon
