#include "guest/platform/xen/heap.h"

#include <algorithm>
#include <bit>
#include <new>

#include "guest/platform/platform.h"

namespace librettos::xen {
namespace {

constexpr uint16_t kRun = 0xffff;  // In place of a size class.
constexpr size_t kMaxAlignment = kPageSize;
constexpr size_t kMaxBytes = size_t{1} << 46;

}  // namespace

// At the start of every page of small objects and of every run of pages.
struct Heap::Header {
  uint64_t seal;
  Header* next;  // Pages with room of the same class.
  Header* previous;
  std::array<uint64_t, 4> used;  // One bit per object, and all ones beyond the last. Of a run: used[0] is its
                                 // pages, used[1] the object.
  uint16_t size_class;
  uint16_t count;  // Objects in use.

  std::byte* object(size_t index) {
    return reinterpret_cast<std::byte*>(this) + kSize + index * kSizes[size_class];
  }
  size_t capacity() const { return (kPageSize - kSize) / kSizes[size_class]; }

  static constexpr size_t kSize = 64;
};

void* Heap::Allocate(size_t bytes, size_t alignment) {
  static_assert(sizeof(Header) <= Header::kSize);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > kMaxAlignment || bytes > kMaxBytes)
    return nullptr;
  if (alignment <= 16 && bytes <= kSizes.back()) {
    return AllocateSmall(std::lower_bound(kSizes.begin(), kSizes.end(), bytes) - kSizes.begin());
  }
  // Objects of a multiple of 64 bytes stand at multiples of 64.
  if (alignment <= Header::kSize && bytes <= kSizes.back()) {
    for (size_t i = 0; i < kSizes.size(); ++i) {
      if (kSizes[i] >= bytes && kSizes[i] % alignment == 0) return AllocateSmall(i);
    }
  }
  return AllocateRun(bytes, std::max(alignment, Header::kSize));
}

void Heap::Free(void* object) {
  if (!object) return;
  Header* const header = HeaderOf(object);
  if (header->size_class != kRun) return FreeSmall(header, object);
  if (header->used[1] != reinterpret_cast<uint64_t>(object)) Panic("heap: freed what was not allocated");
  GivePages(header, header->used[0]);
}

size_t Heap::SizeOf(const void* object) const {
  const Header* const header = HeaderOf(object);
  if (header->size_class != kRun) return kSizes[header->size_class];
  return reinterpret_cast<uint64_t>(header) + header->used[0] * kPageSize -
         reinterpret_cast<uint64_t>(object);
}

// An object is never at the start of its header's page; one at the start of a page has its header before it.
Heap::Header* Heap::HeaderOf(const void* object) const {
  const uint64_t page = (reinterpret_cast<uint64_t>(object) - 1) & ~uint64_t{kPageSize - 1};
  auto* const header = reinterpret_cast<Header*>(page);
  if (header->seal != Seal(header)) Panic("heap: freed twice or not allocated, or its header is overwritten");
  return header;
}

uint64_t Heap::Seal(const Header* header) const { return secret_ ^ reinterpret_cast<uint64_t>(header); }

void* Heap::AllocateSmall(size_t size_class) {
  Header* page = partial_[size_class];
  if (!page) {
    page = TakePages(1);
    if (!page) return nullptr;
    page->size_class = static_cast<uint16_t>(size_class);
    page->count = 0;
    page->used.fill(~uint64_t{0});
    for (size_t i = 0; i < page->capacity(); ++i) page->used[i / 64] &= ~(uint64_t{1} << i % 64);
    Link(page);
  }
  for (size_t word = 0; word < page->used.size(); ++word) {
    if (~page->used[word] == 0) continue;
    const unsigned bit = std::countr_one(page->used[word]);
    page->used[word] |= uint64_t{1} << bit;
    if (++page->count == page->capacity()) Unlink(page);
    return page->object(word * 64 + bit);
  }
  Panic("heap: a page's header is overwritten");
}

void Heap::FreeSmall(Header* page, const void* object) {
  const size_t offset = reinterpret_cast<uint64_t>(object) - reinterpret_cast<uint64_t>(page->object(0));
  const size_t index = offset / kSizes[page->size_class];
  const uint64_t bit = uint64_t{1} << index % 64;
  if (offset % kSizes[page->size_class] != 0 || index >= page->capacity() ||
      !(page->used[index / 64] & bit)) {
    Panic("heap: freed twice or not allocated");
  }
  const bool was_full = page->count == page->capacity();
  page->used[index / 64] &= ~bit;
  --page->count;
  if (was_full) Link(page);
  // The last page with room is kept, so that one object going to and fro costs no page each time.
  if (page->count == 0 && (page->next || page->previous)) {
    Unlink(page);
    GivePages(page, 1);
  }
}

void* Heap::AllocateRun(size_t bytes, size_t offset) {
  const size_t pages = (bytes + offset + kPageSize - 1) / kPageSize;
  Header* const header = TakePages(pages);
  if (!header) return nullptr;
  header->size_class = kRun;
  header->used[0] = pages;
  header->used[1] = reinterpret_cast<uint64_t>(header) + offset;
  return reinterpret_cast<std::byte*>(header) + offset;
}

Heap::Header* Heap::TakePages(size_t pages) {
  void* begin = source_.allocate(pages);
  if (!begin) return nullptr;
  pages_ += pages;
  auto* const header = new (begin) Header{};
  header->seal = Seal(header);
  return header;
}

void Heap::GivePages(Header* header, size_t pages) {
  header->seal = 0;
  pages_ -= pages;
  source_.free(header, pages);
}

void Heap::Link(Header* page) {
  Header*& first = partial_[page->size_class];
  page->previous = nullptr;
  page->next = first;
  if (first) first->previous = page;
  first = page;
}

void Heap::Unlink(Header* page) {
  if (page->next) page->next->previous = page->previous;
  (page->previous ? page->previous->next : partial_[page->size_class]) = page->next;
  page->next = page->previous = nullptr;
}

}  // namespace librettos::xen
