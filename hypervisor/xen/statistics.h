// The daemon's read-only view of a domain's counter pages (guest/platform/statistics.h), by their directory
// of grants (docs/xen.md, Grants and events). All that the domain wrote is untrusted: loaded once and
// checked.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

inline constexpr uint32_t kGrantDirectoryMagic = 0x6467626c;  // "lbgd", as its bytes lie in memory
inline constexpr uint32_t kMaxDirectoryRefs = 1020;
inline constexpr uint32_t kMaxStatisticsPages = 256;  // 1 MiB: 2047 rows; a server needs one per guest.

// One page of the directory, as a private copy.
struct GrantDirectory {
  uint32_t pages = 0;  // Of the whole region.
  uint32_t next = 0;   // 0: this is the last one.
  std::vector<uint32_t> refs;

  // `page`: the 1024 words as they lie in the domain's memory. Unavailable: not a directory of ours.
  static absl::StatusOr<GrantDirectory> Read(const volatile uint32_t* page);
};

class Statistics {
 public:
  // `table` outlives the result. `ref`: what the domain published as data/statistics.
  static absl::StatusOr<std::unique_ptr<Statistics>> Map(xengnttab_handle* table, hypervisor::DomainId domain,
                                                         uint32_t ref);
  // For tests: memory that is not Xen's.
  static std::unique_ptr<Statistics> Over(void* pages, uint32_t count);
  ~Statistics();
  Statistics(const Statistics&) = delete;

  uint64_t Heartbeat() const;
  // The header and its rows, 64 words each; Unavailable if there is no page of our version yet.
  absl::StatusOr<std::vector<uint64_t>> Copy() const;

 private:
  Statistics(xengnttab_handle* table, void* base, uint32_t pages)
      : table_(table), base_(base), pages_(pages) {}

  xengnttab_handle* const table_;  // nullptr: the memory is not ours to unmap.
  void* const base_;
  const uint32_t pages_;
};

}  // namespace librettos::xen
