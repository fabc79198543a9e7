#include "guest/platform/xen/grant_directory.h"

#include <algorithm>

namespace librettos::xen {
namespace {

// Once: the owner may write at the same time. No order is needed, each word is checked by itself.
uint32_t Load(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

}  // namespace

void WriteGrantDirectory(std::span<GrantDirectoryPage> directory, std::span<const GrantRef> directory_refs,
                         std::span<const GrantRef> refs) {
  const uint32_t pages = static_cast<uint32_t>(refs.size());
  for (size_t i = 0; i < directory.size(); ++i) {
    GrantDirectoryPage& page = directory[i];
    const auto listed = refs.first(std::min<size_t>(refs.size(), GrantDirectoryPage::kMaxRefs));
    page.magic = GrantDirectoryPage::kMagic;
    page.pages = pages;
    page.next = i + 1 < directory.size() ? directory_refs[i + 1] : 0;
    page.count = static_cast<uint32_t>(listed.size());
    std::copy(listed.begin(), listed.end(), page.refs);
    refs = refs.subspan(listed.size());
  }
}

Result<GrantRef> GrantDirectoryReader::Take(const GrantDirectoryPage* page) {
  const uint32_t pages = Load(page->pages);
  const uint32_t count = Load(page->count);
  const GrantRef next = Load(page->next);
  if (Load(page->magic) != GrantDirectoryPage::kMagic) return Error::kProtocol;
  if (read_ == 0) pages_ = pages;
  // Each page must bring the reading on, so that a circle of pages ends.
  if (pages != pages_ || pages < refs_.size() || count == 0 || count > GrantDirectoryPage::kMaxRefs ||
      count > pages - read_) {
    return Error::kProtocol;
  }
  const size_t wanted = std::min<size_t>(count, refs_.size() - read_);
  for (size_t i = 0; i < wanted; ++i) {
    refs_[read_ + i] = Load(page->refs[i]);
    if (refs_[read_ + i] == 0) return Error::kProtocol;
  }
  read_ += wanted;
  if (read_ == refs_.size()) return GrantRef{0};
  if (next == 0) return Error::kProtocol;
  return next;
}

}  // namespace librettos::xen
