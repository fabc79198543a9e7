// The daemon's read-only view of a domain's counter page (guest/platform/statistics.h). Its content is
// untrusted numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "hypervisor/process/grants.h"

namespace librettos::process {

class StatisticsPage {
 public:
  // `memory` was checked by Grants: it cannot shrink, so that no access below faults.
  static absl::StatusOr<std::unique_ptr<StatisticsPage>> Create(const Grants::Memory& memory);
  ~StatisticsPage();
  StatisticsPage(const StatisticsPage&) = delete;

  uint64_t Heartbeat() const;
  // The header and its rows, 64 words each; Unavailable if there is no page of our version yet.
  absl::StatusOr<std::vector<uint64_t>> Copy() const;

 private:
  StatisticsPage(void* base, uint64_t bytes) : base_(base), bytes_(bytes) {}

  void* const base_;
  const uint64_t bytes_;
};

}  // namespace librettos::process
