#include "guest/platform/xen/bar.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace librettos::xen {
namespace {

// 256 bytes of which BARs have bits that cannot be written.
struct Function final : ConfigSpace {
  uint32_t Read(uint32_t offset, unsigned width) override {
    uint32_t value = 0;
    std::memcpy(&value, bytes + offset, width);
    return value;
  }
  void Write(uint32_t offset, unsigned width, uint32_t value) override {
    if (offset >= 0x10 && offset < 0x28) {
      EXPECT_FALSE(Read(4, 2) & 2) << "a BAR is moved while it is decoded";
      const uint32_t writable = masks[(offset - 0x10) / 4];
      value = (value & writable) | (Read(offset, 4) & ~writable);
    }
    std::memcpy(bytes + offset, &value, width);
  }
  void Bar(unsigned bar, uint32_t flags, uint64_t mask) {
    masks[bar] = static_cast<uint32_t>(mask);
    std::memcpy(bytes + 0x10 + 4 * bar, &flags, 4);
    if (flags & 4) masks[bar + 1] = static_cast<uint32_t>(mask >> 32);
  }
  unsigned char bytes[256] = {};
  uint32_t masks[6] = {};
};

TEST(Bar, SizesOfEachKind) {
  Function function;
  function.Bar(0, 0, ~uint64_t{0x1ffff});       // 128 KiB.
  function.Bar(1, 1, ~uint64_t{0x1f});          // I/O.
  function.Bar(2, 4, ~uint64_t{0x3fff});        // 64 bits, 16 KiB.
  function.Bar(4, 12, ~uint64_t{0x1ffffffff});  // 64 bits, prefetchable, 8 GiB.
  function.Write(4, 2, 2);
  EXPECT_EQ(*BarSize(function, 0), 0x20000u);
  EXPECT_EQ(BarSize(function, 1).error(), Error::kNotFound);
  EXPECT_EQ(*BarSize(function, 2), 0x4000u);
  EXPECT_EQ(BarSize(function, 3).error(), Error::kNotFound);
  EXPECT_EQ(*BarSize(function, 4), 0x200000000u);
  EXPECT_EQ(BarSize(function, 5).error(), Error::kNotFound);
  EXPECT_EQ(BarSize(function, 6).error(), Error::kNotFound);
  EXPECT_EQ(function.Read(4, 2), 2u);
}

TEST(Bar, SizingKeepsTheAddress) {
  Function function;
  function.Bar(0, 4, ~uint64_t{0xfff});
  PlaceBar(function, 0, 0x1fed00000);
  ASSERT_TRUE(BarSize(function, 0).ok());
  EXPECT_EQ(function.Read(0x10, 4), 0xfed00004u);
  EXPECT_EQ(function.Read(0x14, 4), 1u);
}

TEST(Bar, NonsenseIsNotFound) {
  Function absent;
  EXPECT_EQ(BarSize(absent, 0).error(), Error::kNotFound);
  Function holes;
  holes.Bar(0, 0, 0xf0f0f000);
  EXPECT_EQ(BarSize(holes, 0).error(), Error::kNotFound);
  Function withdrawn;
  std::memset(withdrawn.bytes, 0xff, sizeof(withdrawn.bytes));
  withdrawn.bytes[4] = 0xfd;
  EXPECT_EQ(BarSize(withdrawn, 0).error(), Error::kNotFound);
  Function wide_last;
  wide_last.bytes[0x24] = 4;
  wide_last.masks[5] = ~0xfffu;
  EXPECT_EQ(BarSize(wide_last, 5).error(), Error::kNotFound);
}

TEST(Bar, PlacingEnablesDecoding) {
  Function function;
  function.Bar(0, 0, ~uint64_t{0xfff});
  function.Write(4, 2, 0x400);
  PlaceBar(function, 0, 0xf0001000);
  EXPECT_EQ(function.Read(0x10, 4), 0xf0001000u);
  EXPECT_EQ(function.Read(4, 2), 0x402u);
}

TEST(BarWindow, AlignedAndApart) {
  BarWindow window;
  std::map<uint64_t, uint64_t> taken;
  for (const uint64_t size : {0x1000, 0x20000, 16, 0x4000, 0x100000, 0x1000}) {
    auto begin = window.Take(size);
    ASSERT_TRUE(begin.ok());
    const uint64_t pages = std::max<uint64_t>(size, 4096);
    EXPECT_EQ(*begin % pages, 0u);
    EXPECT_GE(*begin, BarWindow::kBegin);
    EXPECT_LE(*begin + pages, BarWindow::kEnd);
    for (const auto& [other, bytes] : taken) EXPECT_TRUE(*begin + pages <= other || other + bytes <= *begin);
    taken[*begin] = pages;
  }
}

TEST(BarWindow, FreedIsTakenAgain) {
  BarWindow window;
  auto first = window.Take(0x1000), second = window.Take(0x1000), third = window.Take(0x1000);
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  window.Free(*second);
  EXPECT_EQ(*window.Take(0x1000), *second);
}

TEST(BarWindow, FullOrTooLargeIsExhausted) {
  BarWindow window;
  EXPECT_EQ(window.Take(0x10000000).error(), Error::kExhausted);
  EXPECT_EQ(window.Take(0).error(), Error::kExhausted);
  EXPECT_EQ(window.Take(3 * 4096).error(), Error::kExhausted);
  ASSERT_TRUE(window.Take(0x8000000).ok());
  EXPECT_EQ(window.Take(0x8000000).error(), Error::kExhausted);
  size_t pages = 0;
  while (window.Take(0x1000).ok()) ++pages;
  EXPECT_EQ(pages, BarWindow::kMaxRanges - 1);
}

}  // namespace
}  // namespace librettos::xen
