// What one guest may cost its server beyond the traffic that it is there for.
//
// Loop thread only. Two limits, far above what an honest guest needs:
//  - waste: frames that are dropped by the guest's own fault, doorbells without anything behind them, refused
//    leases, and leases that come and go faster than connections do. Whoever wastes more is left alone until
//    it owes nothing, for kMaxRest at most, and is then looked at again; nothing of its own is lost by that.
//  - floods: frames that are copied to all guests. Those beyond are dropped.
// A guest that keeps within its limits pays nothing but the sums here.
#pragma once

#include "netserver/token_bucket.h"

namespace librettos::netserver {

class Allowance {
 public:
  static constexpr uint32_t kWastePerSecond = 10'000, kWasteBurst = 1'000;
  static constexpr uint32_t kDropCost = 1;
  static constexpr uint32_t kIdleBellCost = 10;  // It wakes the server.
  static constexpr uint32_t kRefusalCost = 4;    // Request, reply and a wake-up.
  static constexpr Nanoseconds kMaxRest = 1'000'000;
  static constexpr uint32_t kLeasesPerSecond = 20'000, kLeaseBurst = 4'096;
  static constexpr uint32_t kFloodsPerSecond = 5'000, kFloodBurst = 2'000;
  static constexpr uint32_t kGuestsPerToken = 16;  // A flood costs one token, and one for as many guests.

  void Waste(uint32_t cost, Nanoseconds now) { waste_.Charge(cost, now, kMaxRest); }
  void Lease(Nanoseconds now) { leases_.Charge(1, now, kMaxRest); }
  // How long the guest is to be left alone now; 0: not at all.
  Nanoseconds Rest(Nanoseconds now) const { return std::max(waste_.Debt(now), leases_.Debt(now)); }
  // Whether a frame may be copied to all of `guests`.
  bool Flood(uint32_t guests, Nanoseconds now) { return floods_.Take(1 + guests / kGuestsPerToken, now); }

 private:
  TokenBucket waste_{kWastePerSecond, kWasteBurst};
  TokenBucket leases_{kLeasesPerSecond, kLeaseBurst};
  TokenBucket floods_{kFloodsPerSecond, kFloodBurst};
};

}  // namespace librettos::netserver
