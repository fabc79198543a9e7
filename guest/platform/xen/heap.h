// malloc's engine: size classes within pages, runs of pages for what is larger.
//
// A page holds objects of one class (16 to 2016 bytes) behind a header of 64 bytes with a bitmap of those in
// use; a run has the same header before the object. So a free of what is not allocated, twice or in the
// middle, is noticed exactly, and an overrun of a neighbouring page by the header's seal; both end the domain
// (Panic). A page or run goes back to its source as soon as it is empty, but for one empty page per class.
//
// Threading: none of its own; the caller serialises.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace librettos::xen {

// Where pages come from. Page-aligned; nullptr: none.
struct PageSource {
  void* (*allocate)(size_t pages);
  void (*free)(void* begin, size_t pages);
};

class Heap {
 public:
  // `secret` seals headers: unknown to whoever may overrun a buffer.
  Heap(PageSource source, uint64_t secret) : source_(source), secret_(secret) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // At least `bytes` (0 counts as 1), aligned to `alignment`, a power of two up to 4096. nullptr: exhausted,
  // or no such alignment.
  void* Allocate(size_t bytes, size_t alignment = 16);
  // nullptr is allowed.
  void Free(void* object);
  // How many bytes the object can hold.
  size_t SizeOf(const void* object) const;

  size_t pages() const { return pages_; }  // Taken from the source now.

 private:
  struct Header;

  // Sizes of objects: as many as possible of each fit behind a page's header; multiples of 16.
  static constexpr std::array<uint16_t, 23> kSizes = {16,  32,  48,  64,  80,   96,   112, 128,
                                                      144, 160, 192, 224, 256,  304,  352, 400,
                                                      496, 576, 672, 800, 1008, 1344, 2016};

  Header* HeaderOf(const void* object) const;
  uint64_t Seal(const Header* header) const;
  void* AllocateSmall(size_t size_class);
  void* AllocateRun(size_t bytes, size_t offset);
  void FreeSmall(Header* page, const void* object);
  Header* TakePages(size_t pages);
  void GivePages(Header* header, size_t pages);
  void Link(Header* page);
  void Unlink(Header* page);

  PageSource source_;
  uint64_t secret_;
  size_t pages_ = 0;
  std::array<Header*, kSizes.size()> partial_{};  // Pages with room, per class.
};

}  // namespace librettos::xen
