#include "guest/net/network_config.h"

#include <charconv>
#include <cstring>

namespace librettos::guest {

bool ParseNumber(std::string_view text, uint32_t minimum, uint32_t maximum, uint32_t* out) {
  uint32_t value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < minimum || value > maximum)
    return false;
  *out = value;
  return true;
}

bool ParseMac(std::string_view text, MacAddress* out) {
  if (text.size() != 17) return false;
  MacAddress mac;
  for (size_t i = 0; i < 6; i++) {
    const char* begin = text.data() + i * 3;
    auto [end, error] = std::from_chars(begin, begin + 2, mac[i], 16);
    if (error != std::errc() || end != begin + 2 || (i < 5 && *end != ':')) return false;
  }
  *out = mac;
  return true;
}

bool ParseAddress(std::string_view text, ip_addr_t* out) {
  char buffer[48];
  if (text.empty() || text.size() >= sizeof(buffer)) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = 0;
  bool colon = false;
  int dots = 0;
  for (char c : text) {
    bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!hex && c != ':' && c != '.') return false;
    colon |= c == ':';
    dots += c == '.';
  }
  if (!colon && dots != 3) return false;  // "10.1" is an address to aton, and a mistake to everybody else.
  std::memset(out, 0, sizeof(*out));
  return ipaddr_aton(buffer, out) == 1;
}

bool ParseAddressList(std::string_view text, NetworkConfig* config) {
  config->address_count = 0;
  size_t count = 0;
  while (!text.empty()) {
    size_t space = text.find(' ');
    std::string_view item = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
    if (item.empty()) continue;
    size_t slash = item.find('/');
    if (slash == std::string_view::npos || count == NetworkConfig::kMaxAddresses) return false;
    NetworkAddress& entry = config->addresses[count];
    uint32_t prefix;
    if (!ParseAddress(item.substr(0, slash), &entry.address)) return false;
    if (!ParseNumber(item.substr(slash + 1), 0, IP_IS_V6(&entry.address) ? 128 : 32, &prefix)) return false;
    entry.prefix = static_cast<uint8_t>(prefix);
    count++;
  }
  config->address_count = count;
  return count > 0;
}

}  // namespace librettos::guest
