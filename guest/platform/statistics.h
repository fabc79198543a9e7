// The page of counters that a domain publishes, read-only to the daemon.
//
// Fixed rows of 64-bit counters, each written by its domain only. Readers take each word with one relaxed
// load and treat the content as untrusted numbers. Row 0 is the domain itself; in a server, row 1 + n is a
// channel, with the guest's domain id as key. What the columns mean: netserver/counters.h,
// guest/net/counters.h.
#pragma once

#include <atomic>
#include <cstdint>

namespace librettos {

inline constexpr uint32_t kStatisticsMagic = 0x6c627374;  // "lbst"
inline constexpr uint32_t kStatisticsVersion = 1;
inline constexpr uint32_t kStatisticsColumns = 63;

struct StatisticsRow {
  std::atomic<uint64_t> key;  // Domain id + 1 of the peer; 0: row unused.
  std::atomic<uint64_t> values[kStatisticsColumns];
};
static_assert(sizeof(StatisticsRow) == 512);

struct StatisticsHeader {
  std::atomic<uint32_t> magic;
  std::atomic<uint32_t> version;
  std::atomic<uint32_t> rows;  // Rows that follow this header's 512 bytes.
  std::atomic<uint32_t> reserved;
  std::atomic<uint64_t>
      heartbeat;  // Grows at least every 100 ms (server) or 1 s (guest) while the loop turns.
  uint64_t padding[61];
};
static_assert(sizeof(StatisticsHeader) == 512);

constexpr uint64_t StatisticsBytes(uint32_t rows) { return 512 * (1 + uint64_t{rows}); }

}  // namespace librettos
