#include "hypervisor/xen/statistics.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "guest/platform/statistics.h"

namespace librettos::xen {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kHeaderWords = 4;

absl::Status Refused(absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("the domain's statistics cannot be read: ", why));
}

}  // namespace

absl::StatusOr<GrantDirectory> GrantDirectory::Read(const volatile uint32_t* page) {
  const uint32_t magic = page[0];
  GrantDirectory directory{.pages = page[1], .next = page[2], .refs = {}};
  const uint32_t count = page[3];
  if (magic != kGrantDirectoryMagic) return Refused("no directory of grants");
  if (count == 0 || count > kMaxDirectoryRefs || directory.pages == 0 ||
      directory.pages > kMaxStatisticsPages || count > directory.pages) {
    return Refused(absl::StrCat("a directory of ", count, " grants of ", directory.pages, " pages"));
  }
  directory.refs.resize(count);
  for (uint32_t i = 0; i < count; ++i) directory.refs[i] = page[kHeaderWords + i];
  return directory;
}

absl::StatusOr<std::unique_ptr<Statistics>> Statistics::Map(xengnttab_handle* table,
                                                            hypervisor::DomainId domain, uint32_t ref) {
  std::vector<uint32_t> refs;
  uint32_t pages = 0;
  // Each directory page adds at least one reference, so that no chain is longer than the pages it may have.
  for (uint32_t next = ref; next != 0;) {
    void* page = xengnttab_map_grant_ref(table, domain, next, PROT_READ);
    if (page == nullptr) return Refused(absl::StrCat("grant ", next, ": ", strerror(errno)));
    const auto directory = GrantDirectory::Read(static_cast<const volatile uint32_t*>(page));
    xengnttab_unmap(table, page, 1);
    if (!directory.ok()) return directory.status();
    if (pages == 0) pages = directory->pages;
    refs.insert(refs.end(), directory->refs.begin(), directory->refs.end());
    if (directory->pages != pages || refs.size() > pages)
      return Refused("directory pages do not fit together");
    next = directory->next;
  }
  if (refs.size() != pages) return Refused("the directory is too short");
  void* base = xengnttab_map_domain_grant_refs(table, pages, domain, refs.data(), PROT_READ);
  if (base == nullptr) return Refused(strerror(errno));
  return std::unique_ptr<Statistics>(new Statistics(table, base, pages));
}

std::unique_ptr<Statistics> Statistics::Over(void* pages, uint32_t count) {
  return std::unique_ptr<Statistics>(new Statistics(nullptr, pages, count));
}

Statistics::~Statistics() {
  if (table_ != nullptr) xengnttab_unmap(table_, base_, pages_);
}

uint64_t Statistics::Heartbeat() const {
  // Relaxed: a number by itself, with nothing ordered after it.
  return static_cast<const StatisticsHeader*>(base_)->heartbeat.load(std::memory_order_relaxed);
}

absl::StatusOr<std::vector<uint64_t>> Statistics::Copy() const {
  const auto* header = static_cast<const StatisticsHeader*>(base_);
  const uint32_t rows = header->rows.load(std::memory_order_relaxed);
  if (header->magic.load(std::memory_order_relaxed) != kStatisticsMagic ||
      header->version.load(std::memory_order_relaxed) != kStatisticsVersion ||
      StatisticsBytes(rows) > pages_ * kPageBytes) {
    return Refused("no page of this version");
  }
  std::vector<uint64_t> words(StatisticsBytes(rows) / sizeof(uint64_t));
  const auto* source = static_cast<const std::atomic<uint64_t>*>(base_);
  for (size_t i = 0; i < words.size(); ++i) words[i] = source[i].load(std::memory_order_relaxed);
  return words;
}

}  // namespace librettos::xen
