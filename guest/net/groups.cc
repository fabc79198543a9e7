#include "guest/net/groups.h"

#include <algorithm>
#include <cstring>

namespace librettos::guest {

Groups::Groups(const netif& of) {
  ip6_addr_t group;
  ip6_addr_set_allnodes_linklocal(&group);
  Add(group);
  for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) {
    if (ip6_addr_isinvalid(netif_ip6_addr_state(&of, i))) continue;
    ip6_addr_set_solicitednode(&group, netif_ip6_addr(&of, i)->addr[3]);
    Add(group);
  }
}

void Groups::Add(const ip6_addr_t& group) {
  MacAddress address = {0x33, 0x33};
  std::memcpy(&address[2], &group.addr[3], 4);  // In network order, both.
  if (std::find(groups_.begin(), groups_.begin() + count_, address) != groups_.begin() + count_) return;
  groups_[count_++] = address;
}

}  // namespace librettos::guest
