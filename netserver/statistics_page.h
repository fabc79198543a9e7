// The server's published counters: guest/platform/statistics.h, columns in counters.h.
//
// Loop thread only. The daemon can only read; what it does cannot disturb the server.
#pragma once

#include "guest/platform/platform.h"
#include "guest/platform/statistics.h"

namespace librettos::netserver {

class StatisticsPage {
 public:
  StatisticsPage() = default;
  ~StatisticsPage();
  StatisticsPage(const StatisticsPage&) = delete;

  // Allocates row 0 and one row per guest, grants them to the daemon and publishes where they are.
  Status Open(Platform& platform);
  StatisticsRow* totals() const { return &rows_[0]; }
  // The row of the guest in `slot`, emptied, and from now on that of domain `id`.
  StatisticsRow* Start(uint32_t slot, DomainId id);
  void End(uint32_t slot);
  void Beat();

 private:
  Region* region_ = nullptr;
  StatisticsHeader* header_ = nullptr;
  StatisticsRow* rows_ = nullptr;
};

}  // namespace librettos::netserver
