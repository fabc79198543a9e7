// What this guest has learned of paths narrower than its link (RFC 1191, RFC 8201): a small table that
// forgets.
#pragma once

#include <cstdint>

#include "guest/platform/platform.h"
#include "lwip/ip_addr.h"

namespace librettos::guest {

class PathMtu {
 public:
  static constexpr Nanoseconds kLifetime = 600'000'000'000;  // RFC 8201 section 4: 10 minutes.
  static constexpr uint32_t kMinimum4 = 552;  // Linux' min_pmtu: a liar cannot make packets tiny.
  static constexpr uint32_t kMinimum6 = 1280;

  // `link` if nothing is known.
  uint32_t Get(const ip_addr_t& destination, uint32_t link, Nanoseconds now) const;
  // True if this made the path narrower.
  bool Learn(const ip_addr_t& destination, uint32_t mtu, uint32_t link, Nanoseconds now);

 private:
  static constexpr int kEntries = 32;
  struct Entry {
    ip_addr_t address;
    uint32_t mtu = 0;  // 0: free.
    Nanoseconds until = 0;
  };
  Entry entries_[kEntries] = {};
};

}  // namespace librettos::guest
