// The directory of a granted region: which grant references its pages have (docs/xen.md, "Grants and
// events").
//
// A region's GrantRef is that of its first directory page; a directory page names up to 1020 of the region's
// pages in order, and the next directory page. Written by the owner before the reference is told to anyone,
// read once by whoever maps it. What is read is untrusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/platform.h"

namespace librettos::xen {

struct GrantDirectoryPage {
  static constexpr uint32_t kMagic = 0x6467626c;  // "lbgd"
  static constexpr uint32_t kMaxRefs = 1020;

  uint32_t magic;
  uint32_t pages;  // Of the whole region.
  GrantRef next;   // The next directory page's; 0: there is none.
  uint32_t count;  // Of `refs`.
  GrantRef refs[kMaxRefs];
};
static_assert(sizeof(GrantDirectoryPage) == kPageSize);

constexpr size_t GrantDirectoryPages(size_t region_pages) {
  return (region_pages + GrantDirectoryPage::kMaxRefs - 1) / GrantDirectoryPage::kMaxRefs;
}

// Fills `directory`, which has GrantDirectoryPages(refs.size()) pages whose own references are
// `directory_refs`.
void WriteGrantDirectory(std::span<GrantDirectoryPage> directory, std::span<const GrantRef> directory_refs,
                         std::span<const GrantRef> refs);

// Reads a directory page by page.
class GrantDirectoryReader {
 public:
  // Wants the first refs.size() pages of a region, and fills `refs`.
  explicit GrantDirectoryReader(std::span<GrantRef> refs) : refs_(refs) {}
  // Takes the next page, which its owner may be changing. Returns the reference of the page to be taken after
  // it, or 0: all is read. kProtocol: it is no directory, too small, or one that does not end.
  Result<GrantRef> Take(const GrantDirectoryPage* page);

 private:
  std::span<GrantRef> refs_;
  size_t read_ = 0;
  uint32_t pages_ = 0;  // As the first page says.
};

}  // namespace librettos::xen
