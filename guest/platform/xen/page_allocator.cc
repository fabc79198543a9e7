#include "guest/platform/xen/page_allocator.h"

#include <algorithm>
#include <bit>

#include "guest/platform/platform.h"

namespace librettos::xen {

PageAllocator::PageAllocator(std::span<uint64_t> bitmap) : used_(bitmap), lowest_(bitmap.size()) {
  std::fill(used_.begin(), used_.end(), ~uint64_t{0});
}

size_t PageAllocator::Allocate(size_t count) {
  if (count == 0 || count > free_) return kNone;
  const size_t first = count == 1 ? AllocateOne() : AllocateRun(count);
  if (first != kNone) Mark(first, count);
  return first;
}

void PageAllocator::Free(size_t first, size_t count) {
  if (count == 0 || first >= used_.size() * 64 || count > used_.size() * 64 - first) {
    Panic("memory: freed pages that do not exist");
  }
  for (size_t frame = first; frame < first + count; ++frame) {
    if (!used(frame)) Panic("memory: page freed twice");
    used_[frame / 64] &= ~(uint64_t{1} << frame % 64);
  }
  free_ += count;
  lowest_ = std::min(lowest_, first / 64);
  highest_ = std::max(highest_, (first + count - 1) / 64 + 1);
}

void PageAllocator::Mark(size_t first, size_t count) {
  for (size_t frame = first; frame < first + count; ++frame) used_[frame / 64] |= uint64_t{1} << frame % 64;
  free_ -= count;
}

size_t PageAllocator::AllocateOne() {
  while (highest_ > 0 && ~used_[highest_ - 1] == 0) --highest_;
  if (highest_ == 0) return kNone;
  return highest_ * 64 - 1 - std::countl_zero(~used_[highest_ - 1]);
}

size_t PageAllocator::AllocateRun(size_t count) {
  while (lowest_ < highest_ && ~used_[lowest_] == 0) ++lowest_;
  size_t run = 0;
  for (size_t frame = lowest_ * 64; frame < highest_ * 64;) {
    if (frame % 64 == 0 && ~used_[frame / 64] == 0) {  // A word at a time over what is full.
      run = 0;
      frame += 64;
      continue;
    }
    run = used(frame) ? 0 : run + 1;
    ++frame;
    if (run == count) return frame - count;
  }
  return kNone;
}

}  // namespace librettos::xen
