#include "netserver/statistics_page.h"

#include "netserver/guest_table.h"
#include "netserver/text.h"

namespace librettos::netserver {

StatisticsPage::~StatisticsPage() {
  if (region_) region_->Release();
}

Status StatisticsPage::Open(Platform& platform) {
  constexpr uint32_t kRows = 1 + kMaxGuests;
  Result<Region*> region = platform.Allocate(StatisticsBytes(kRows));
  if (!region.ok()) return region.error();
  region_ = region.value();
  // Zeroed memory is what these types start with.
  header_ = reinterpret_cast<StatisticsHeader*>(region_->bytes().data());
  rows_ = reinterpret_cast<StatisticsRow*>(header_ + 1);
  header_->version.store(kStatisticsVersion, std::memory_order_relaxed);
  header_->rows.store(kRows, std::memory_order_relaxed);
  rows_[0].key.store(uint64_t{platform.self()} + 1, std::memory_order_relaxed);
  // Release: who finds the magic finds the rest.
  header_->magic.store(kStatisticsMagic, std::memory_order_release);
  Result<GrantRef> grant = region_->GrantTo(kControlDomain, /*writable=*/false);
  if (!grant.ok()) return grant.error();
  Text path;
  path.Add("/local/domain/").Add(platform.self()).Add("/data/statistics");
  return platform.registry().Publish(path.view(), Text().Add(grant.value()).view());
}

StatisticsRow* StatisticsPage::Start(uint32_t slot, DomainId id) {
  StatisticsRow* row = &rows_[1 + slot];
  for (auto& value : row->values) value.store(0, std::memory_order_relaxed);
  // Release: a reader that finds the new key does not find the old values.
  row->key.store(uint64_t{id} + 1, std::memory_order_release);
  return row;
}

void StatisticsPage::End(uint32_t slot) { rows_[1 + slot].key.store(0, std::memory_order_relaxed); }

void StatisticsPage::Beat() {
  header_->heartbeat.store(header_->heartbeat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace librettos::netserver
