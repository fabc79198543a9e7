// Free ranges of an address space: first fit, neighbours merged.
//
// At most kCapacity ranges: what is given back beyond that (only if so many lie apart) is lost to further
// use. Threading: none of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace librettos::xen {

class RangeSet {
 public:
  static constexpr size_t kCapacity = 1024;
  static constexpr uint64_t kNone = ~uint64_t{0};

  // Removes `size` (not 0) from the set and returns its begin; kNone: no range is large enough.
  uint64_t Take(uint64_t size);
  // Adds [begin, begin + size), none of which may be in the set (Panic).
  void Give(uint64_t begin, uint64_t size);
  size_t size() const { return count_; }

 private:
  struct Range {
    uint64_t begin, end;
  };
  void Erase(size_t index);

  std::array<Range, kCapacity> ranges_{};  // Ascending; never adjacent.
  size_t count_ = 0;
};

}  // namespace librettos::xen
