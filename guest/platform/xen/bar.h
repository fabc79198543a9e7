// Base address registers of a PCI function (PCI Local Bus 3.0, section 6.2.5): their sizes, and where they
// go.
//
// Nothing places them for an image that boots in hvmloader's place. What configuration space reads is
// untrusted: sizes are checked before anything is placed or mapped.
#pragma once

#include <array>
#include <cstdint>

#include "guest/platform/result.h"

namespace librettos::xen {

class ConfigSpace {
 public:
  virtual uint32_t Read(uint32_t offset, unsigned width) = 0;
  virtual void Write(uint32_t offset, unsigned width, uint32_t value) = 0;

 protected:
  ~ConfigSpace() = default;
};

inline constexpr unsigned kBars = 6;

// Bus addresses of memory BARs. One per domain.
class BarWindow {
 public:
  // hvmloader's window for devices, below what Xen and the chip set use
  // (xen/tools/firmware/hvmloader/config.h, PCI_MEM_START and PCI_MEM_END); libxl leaves it free of RAM.
  static constexpr uint64_t kBegin = 0xf0000000, kEnd = 0xfc000000;
  static constexpr size_t kMaxRanges = 64;

  // `size`: a power of two. Aligned to its size and to a page. kExhausted: no room.
  Result<uint64_t> Take(uint64_t size);
  void Free(uint64_t begin);

 private:
  struct Range {
    uint64_t begin, end;
  };
  std::array<Range, kMaxRanges> ranges_{};  // Taken, ascending.
  size_t count_ = 0;
};

// The memory BAR `bar`'s size, found by writing all ones, which moves the BAR away for a moment: memory
// decoding is off meanwhile. kNotFound: it is none (I/O, the upper half of another one, or not there), or its
// size is no power of two of at least 16 bytes.
Result<uint64_t> BarSize(ConfigSpace& config, unsigned bar);
// Writes its address and enables memory decoding.
void PlaceBar(ConfigSpace& config, unsigned bar, uint64_t address);

}  // namespace librettos::xen
