// The Ethernet groups that the stack takes part in, for a NIC that filters them: all nodes, and the
// solicited-node group of each IPv6 address (RFC 2464 section 7, RFC 4291 section 2.7.1). IPv4 has none here
// (no IGMP).
#pragma once

#include <array>
#include <span>

#include "guest/platform/frame.h"
#include "lwip/netif.h"

namespace librettos::guest {

class Groups {
 public:
  explicit Groups(const netif& of);
  std::span<const MacAddress> all() const { return {groups_.data(), count_}; }

 private:
  void Add(const ip6_addr_t& group);

  std::array<MacAddress, 1 + LWIP_IPV6_NUM_ADDRESSES> groups_;
  size_t count_ = 0;
};

}  // namespace librettos::guest
