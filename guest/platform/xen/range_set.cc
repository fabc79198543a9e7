#include "guest/platform/xen/range_set.h"

#include <algorithm>

#include "guest/platform/platform.h"

namespace librettos::xen {

uint64_t RangeSet::Take(uint64_t size) {
  for (size_t i = 0; i < count_; ++i) {
    Range& range = ranges_[i];
    if (range.end - range.begin < size) continue;
    const uint64_t begin = range.begin;
    range.begin += size;
    if (range.begin == range.end) Erase(i);
    return begin;
  }
  return kNone;
}

void RangeSet::Give(uint64_t begin, uint64_t size) {
  const uint64_t end = begin + size;
  Range* const first = ranges_.data();
  Range* const last = first + count_;
  Range* const next =
      std::lower_bound(first, last, begin, [](const Range& r, uint64_t b) { return r.begin < b; });
  if ((next != last && next->begin < end) || (next != first && (next - 1)->end > begin)) {
    Panic("memory: range given back twice");
  }
  const bool joins_next = next != last && next->begin == end;
  const bool joins_previous = next != first && (next - 1)->end == begin;
  if (joins_previous && joins_next) {
    (next - 1)->end = next->end;
    Erase(next - first);
  } else if (joins_previous) {
    (next - 1)->end = end;
  } else if (joins_next) {
    next->begin = begin;
  } else if (count_ < kCapacity) {
    std::copy_backward(next, last, last + 1);
    *next = {begin, end};
    ++count_;
  }
}

void RangeSet::Erase(size_t index) {
  std::copy(ranges_.begin() + index + 1, ranges_.begin() + count_, ranges_.begin() + index);
  --count_;
}

}  // namespace librettos::xen
