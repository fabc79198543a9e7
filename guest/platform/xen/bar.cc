#include "guest/platform/xen/bar.h"

#include <algorithm>
#include <bit>

namespace librettos::xen {
namespace {

constexpr uint32_t kCommand = 0x04, kCommandMemory = 1u << 1;
constexpr uint32_t kFirstBar = 0x10;
constexpr uint32_t kBarIo = 1u << 0, kBarTypeMask = 3u << 1, kBar64 = 2u << 1, kBarFlags = 0xf;
constexpr uint64_t kPage = 4096;

uint32_t Offset(unsigned bar) { return kFirstBar + 4 * bar; }

bool Is64(uint32_t value) { return !(value & kBarIo) && (value & kBarTypeMask) == kBar64; }

// A 64-bit BAR takes two registers; the second one is no BAR.
bool IsUpperHalf(ConfigSpace& config, unsigned bar) {
  bool upper = false;
  for (unsigned i = 0; i < bar; ++i) upper = !upper && Is64(config.Read(Offset(i), 4));
  return upper;
}

}  // namespace

Result<uint64_t> BarWindow::Take(uint64_t size) {
  if (!std::has_single_bit(size) || size > kEnd - kBegin) return Error::kExhausted;
  if (count_ == kMaxRanges) return Error::kExhausted;
  const uint64_t taken = std::max(size, kPage);
  uint64_t begin = kBegin;
  size_t place = 0;
  for (; place < count_ && ranges_[place].begin < begin + taken; ++place) {
    begin = (ranges_[place].end + taken - 1) & ~(taken - 1);
  }
  if (begin + taken > kEnd) return Error::kExhausted;
  std::copy_backward(ranges_.begin() + place, ranges_.begin() + count_, ranges_.begin() + count_ + 1);
  ranges_[place] = {begin, begin + taken};
  ++count_;
  return begin;
}

void BarWindow::Free(uint64_t begin) {
  const auto end = ranges_.begin() + count_;
  const auto found =
      std::find_if(ranges_.begin(), end, [&](const Range& range) { return range.begin == begin; });
  if (found == end) return;
  std::copy(found + 1, end, found);
  --count_;
}

Result<uint64_t> BarSize(ConfigSpace& config, unsigned bar) {
  if (bar >= kBars || IsUpperHalf(config, bar)) return Error::kNotFound;
  const uint32_t command = config.Read(kCommand, 2);
  const uint32_t low = config.Read(Offset(bar), 4);
  const bool wide = Is64(low);
  if ((low & kBarIo) || (wide && bar + 1 == kBars)) return Error::kNotFound;
  config.Write(kCommand, 2, command & ~kCommandMemory);
  config.Write(Offset(bar), 4, ~0u);
  uint64_t ones = config.Read(Offset(bar), 4) & ~kBarFlags;
  config.Write(Offset(bar), 4, low);
  if (wide) {
    const uint32_t high = config.Read(Offset(bar + 1), 4);
    config.Write(Offset(bar + 1), 4, ~0u);
    ones |= static_cast<uint64_t>(config.Read(Offset(bar + 1), 4)) << 32;
    config.Write(Offset(bar + 1), 4, high);
  } else if (ones != 0) {
    ones |= ~uint64_t{0} << 32;
  }
  config.Write(kCommand, 2, command);
  // The writable bits are the upper ones.
  const uint64_t size = ~ones + 1;
  if (ones == 0 || !std::has_single_bit(size) || size < 16) return Error::kNotFound;
  return size;
}

void PlaceBar(ConfigSpace& config, unsigned bar, uint64_t address) {
  const uint32_t command = config.Read(kCommand, 2);
  config.Write(kCommand, 2, command & ~kCommandMemory);
  const bool wide = Is64(config.Read(Offset(bar), 4));
  config.Write(Offset(bar), 4, static_cast<uint32_t>(address));
  if (wide) config.Write(Offset(bar + 1), 4, static_cast<uint32_t>(address >> 32));
  config.Write(kCommand, 2, command | kCommandMemory);
}

}  // namespace librettos::xen
