// Which page frames are free: one bit per frame.
//
// Single frames come from the top, runs from the bottom, so that runs stay possible. Freeing what is free
// ends the domain (Panic). Threading: none of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos::xen {

class PageAllocator {
 public:
  static constexpr size_t kNone = ~size_t{0};

  PageAllocator() = default;
  // Frame n is bit n of `bitmap`, which the caller keeps; at first nothing is free.
  explicit PageAllocator(std::span<uint64_t> bitmap);

  // `count` free frames that lie together; returns the first, kNone if there are none.
  size_t Allocate(size_t count);
  // Also how frames are first made free.
  void Free(size_t first, size_t count);
  size_t free_count() const { return free_; }

 private:
  bool used(size_t frame) const { return used_[frame / 64] >> frame % 64 & 1; }
  void Mark(size_t first, size_t count);
  size_t AllocateOne();
  size_t AllocateRun(size_t count);

  std::span<uint64_t> used_;  // 1: used, or no RAM.
  size_t free_ = 0;
  size_t lowest_ = 0;   // Words below this have no free frame.
  size_t highest_ = 0;  // Nor have those from here on.
};

}  // namespace librettos::xen
