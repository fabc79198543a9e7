#include "guest/net/path_mtu.h"

#include <algorithm>

namespace librettos::guest {

uint32_t PathMtu::Get(const ip_addr_t& destination, uint32_t link, Nanoseconds now) const {
  for (const Entry& entry : entries_) {
    if (entry.mtu && now < entry.until && ip_addr_cmp_zoneless(&entry.address, &destination)) {
      return std::min(entry.mtu, link);
    }
  }
  return link;
}

bool PathMtu::Learn(const ip_addr_t& destination, uint32_t mtu, uint32_t link, Nanoseconds now) {
  mtu = std::max(mtu, IP_IS_V6(&destination) ? kMinimum6 : kMinimum4);
  if (mtu >= Get(destination, link, now)) return false;
  Entry* slot = &entries_[0];
  for (Entry& entry : entries_) {
    if (entry.mtu && ip_addr_cmp_zoneless(&entry.address, &destination)) {
      slot = &entry;
      break;
    }
    if (entry.until < slot->until) slot = &entry;
  }
  slot->address = destination;
  slot->mtu = mtu;
  slot->until = now + kLifetime;
  return true;
}

}  // namespace librettos::guest
