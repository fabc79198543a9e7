#include "daemon/counters.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "guest/net/counters.h"
#include "guest/platform/statistics.h"
#include "netserver/counters.h"

namespace librettos::daemon {
namespace {

constexpr size_t kHeaderWords = sizeof(StatisticsHeader) / sizeof(uint64_t);
constexpr size_t kRowWords = sizeof(StatisticsRow) / sizeof(uint64_t);

struct Column {
  const char* name;
  uint32_t column;
  bool drop;
};

#define LIBRETTOS_NAMED(name, column) {#name, column, false},
#define LIBRETTOS_DROP(name, column) {#name, column, true},
constexpr Column kServerColumns[] = {LIBRETTOS_SERVER_COUNTERS(LIBRETTOS_NAMED)};
constexpr Column kServerDrops[] = {LIBRETTOS_DROP_REASONS(LIBRETTOS_DROP)};
constexpr Column kGuestColumns[] = {LIBRETTOS_GUEST_COUNTERS(LIBRETTOS_NAMED)};
#undef LIBRETTOS_NAMED
#undef LIBRETTOS_DROP

using Row = absl::Span<const uint64_t>;  // Key, then the columns.

// Rows that the page really holds, whatever its header says.
std::vector<Row> RowsOf(const std::vector<uint64_t>& page) {
  std::vector<Row> rows;
  if (page.size() < kHeaderWords) return rows;
  // Words 0 and 1: magic and version, rows and reserved.
  if (static_cast<uint32_t>(page[0]) != kStatisticsMagic || page[0] >> 32 != kStatisticsVersion) return rows;
  size_t count = std::min<size_t>(static_cast<uint32_t>(page[1]), (page.size() - kHeaderWords) / kRowWords);
  for (size_t i = 0; i < count; ++i)
    rows.push_back(Row(page).subspan(kHeaderWords + i * kRowWords, kRowWords));
  return rows;
}

bool AlwaysShown(absl::string_view name) {
  return absl::StartsWith(name, "rx_") || absl::StartsWith(name, "tx_");
}

v1::ResourceStatistics* Add(const std::string& name, const std::string& peer, uint32_t domain,
                            v1::GetStatisticsResponse* out) {
  v1::ResourceStatistics* statistics = out->add_resources();
  statistics->set_name(name);
  statistics->set_peer(peer);
  statistics->set_domain(domain);
  return statistics;
}

}  // namespace

void AddServerStatistics(const std::string& name, uint32_t domain, const std::vector<uint64_t>& page,
                         const std::function<std::string(uint64_t)>& guest_name,
                         v1::GetStatisticsResponse* out) {
  std::vector<Row> rows = RowsOf(page);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    std::string peer;
    if (i > 0) {
      if (row[0] == 0) continue;
      peer = guest_name(row[0] - 1);
      if (peer.empty()) continue;
    }
    v1::ResourceStatistics* statistics = Add(name, peer, domain, out);
    for (const Column& c : kServerColumns) {
      bool is_drop = std::any_of(std::begin(kServerDrops), std::end(kServerDrops),
                                 [&](const Column& d) { return d.column == c.column; });
      uint64_t value = row[1 + c.column];
      if (is_drop) {
        if (value != 0) (*statistics->mutable_drops())[c.name] = value;
      } else if (value != 0 || AlwaysShown(c.name)) {
        (*statistics->mutable_counters())[c.name] = value;
      }
    }
  }
}

void AddGuestStatistics(const std::string& name, uint32_t domain, const std::vector<uint64_t>& page,
                        v1::GetStatisticsResponse* out) {
  std::vector<Row> rows = RowsOf(page);
  if (rows.empty()) return;
  v1::ResourceStatistics* statistics = Add(name, "", domain, out);
  for (const Column& c : kGuestColumns) {
    uint64_t value = rows[0][1 + c.column];
    absl::string_view column = c.name;
    if (absl::EndsWith(column, "_dropped") || column == "rx_checksum_errors") {
      if (value != 0) (*statistics->mutable_drops())[c.name] = value;
    } else if (value != 0 || AlwaysShown(column)) {
      (*statistics->mutable_counters())[c.name] = value;
    }
  }
}

}  // namespace librettos::daemon
