// A guest's network as the registry describes it (docs/protocols.md, Registry, and Address lists).
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/platform/frame.h"
#include "lwip/ip_addr.h"

namespace librettos::guest {

struct NetworkAddress {
  ip_addr_t address;
  uint8_t prefix;
};

struct NetworkConfig {
  static constexpr size_t kMaxAddresses = 8;
  MacAddress mac = {};
  NetworkAddress addresses[kMaxAddresses] = {};
  size_t address_count = 0;
  bool has_gateway4 = false, has_gateway6 = false;
  ip_addr_t gateway4 = {}, gateway6 = {};
  uint32_t mtu = 1500;
  bool shared = false;
  uint32_t queue_pairs = 1;
};

bool ParseMac(std::string_view text, MacAddress* out);
bool ParseAddress(std::string_view text, ip_addr_t* out);
// Space-separated address/prefix items. False, and nothing usable in `config`, if any is malformed or too
// many.
bool ParseAddressList(std::string_view text, NetworkConfig* config);
bool ParseNumber(std::string_view text, uint32_t minimum, uint32_t maximum, uint32_t* out);

}  // namespace librettos::guest
