#include "hypervisor/process/statistics_page.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "guest/platform/statistics.h"

namespace librettos::process {
namespace {

constexpr uint64_t kMaxPageBytes = 1 << 20;  // 2047 rows; a server needs one per guest.

}  // namespace

absl::StatusOr<std::unique_ptr<StatisticsPage>> StatisticsPage::Create(const Grants::Memory& memory) {
  if (memory.bytes < sizeof(StatisticsHeader) || memory.bytes > kMaxPageBytes) {
    return absl::UnavailableError(
        absl::StrCat("a statistics page of ", memory.bytes, " bytes is not accepted"));
  }
  void* base = mmap(nullptr, memory.bytes, PROT_READ, MAP_SHARED, memory.descriptor->get(), 0);
  if (base == MAP_FAILED)
    return absl::UnavailableError(absl::StrCat("cannot map statistics: ", strerror(errno)));
  return std::unique_ptr<StatisticsPage>(new StatisticsPage(base, memory.bytes));
}

StatisticsPage::~StatisticsPage() { munmap(base_, bytes_); }

uint64_t StatisticsPage::Heartbeat() const {
  // Relaxed: a number by itself, with nothing ordered after it.
  return static_cast<const StatisticsHeader*>(base_)->heartbeat.load(std::memory_order_relaxed);
}

absl::StatusOr<std::vector<uint64_t>> StatisticsPage::Copy() const {
  const auto* header = static_cast<const StatisticsHeader*>(base_);
  const uint32_t rows = header->rows.load(std::memory_order_relaxed);
  if (header->magic.load(std::memory_order_relaxed) != kStatisticsMagic ||
      header->version.load(std::memory_order_relaxed) != kStatisticsVersion ||
      StatisticsBytes(rows) > bytes_) {
    return absl::UnavailableError("the domain has no valid statistics page of this version");
  }
  std::vector<uint64_t> words(StatisticsBytes(rows) / sizeof(uint64_t));
  const auto* source = static_cast<const std::atomic<uint64_t>*>(base_);
  for (size_t i = 0; i < words.size(); ++i) words[i] = source[i].load(std::memory_order_relaxed);
  return words;
}

}  // namespace librettos::process
