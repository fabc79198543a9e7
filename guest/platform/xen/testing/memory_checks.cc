#include <algorithm>
#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/page_table.h"
#include "guest/platform/xen/testing/check.h"

namespace librettos::xen {
namespace {

bool InRam(PhysicalAddress at) {
  return std::any_of(Ram().begin(), Ram().end(),
                     [at](const MemoryRange& range) { return at >= range.begin && at < range.end; });
}

bool IsZero(const void* page) {
  const auto* bytes = static_cast<const std::byte*>(page);
  return std::all_of(bytes, bytes + kPageSize, [](std::byte b) { return b == std::byte{0}; });
}

// All of RAM, page by page, each marked, none twice.
void CheckExhaustion() {
  struct Page {
    Page* next;
    uint64_t mark;
  };
  const size_t before = FreePageCount();
  Page* first = nullptr;
  size_t taken = 0;
  bool in_ram = true, zeroed = true;
  while (void* begin = AllocatePages(1)) {
    zeroed = zeroed && IsZero(begin);
    in_ram = in_ram && InRam(PhysicalOf(begin));
    first = new (begin) Page{first, taken++};
  }
  bool distinct = true;
  size_t expected = taken;
  while (first) {
    Page* page = first;
    first = page->next;
    distinct = distinct && page->mark == --expected;
    memset(static_cast<void*>(page), 0xff, kPageSize);
    FreePages(page, 1);
  }
  Check("all free pages can be had", taken == before && FreePageCount() == before);
  Check("pages are RAM", in_ram);
  Check("pages are zeroed", zeroed);
  Check("no page is given out twice", distinct);
}

void CheckRun() {
  const size_t before = FreePageCount();
  auto* run = static_cast<std::byte*>(AllocatePages(1000));
  Check("a run of pages is zeroed", run && IsZero(run) && IsZero(run + 999 * kPageSize));
  Check("a run of pages lies together",
        run && PhysicalOf(run + 999 * kPageSize) == PhysicalOf(run) + 999 * kPageSize);
  FreePages(run, 1000);
  Check("a run of pages comes back", FreePageCount() == before);
  Check("what does not fit is refused", AllocatePages(1 << 20) == nullptr);
}

void CheckMapping() {
  auto* at = static_cast<std::byte*>(ReserveVirtual(3 * kPageSize));
  auto* page = static_cast<std::byte*>(AllocatePages(1));
  const bool mapped = MapPage(at + kPageSize, PhysicalOf(page), Access::kWritable).ok();
  Check("a page can be mapped", mapped);
  if (!mapped) return;
  at[kPageSize + 5] = std::byte{42};
  Check("a mapping shows its page", page[5] == std::byte{42});
  Check("a mapping's physical address is found", PhysicalOf(at + kPageSize + 5) == PhysicalOf(page) + 5);
  const auto address = reinterpret_cast<uint64_t>(at);
  Check("reserved addresses are unmapped, also around",
        FindEntry(address) == 0 && FindEntry(address + 2 * kPageSize) == 0 &&
            FindEntry(address - kPageSize) == 0 && FindEntry(address + 3 * kPageSize) == 0);
  UnmapPage(at + kPageSize);
  Check("an unmapped page is gone", FindEntry(address + kPageSize) == 0);
  ReleaseVirtual(at, 3 * kPageSize);
  Check("released addresses serve again", ReserveVirtual(3 * kPageSize) == at);
  ReleaseVirtual(at, 3 * kPageSize);
  FreePages(page, 1);
}

void CheckDevice() {
  constexpr PhysicalAddress kApicVersion = 0xfee00030;  // Of the local APIC, which every CPU has.
  const volatile void* registers = MapDevice(kApicVersion, 4);
  const uint64_t entry = FindEntry(reinterpret_cast<uint64_t>(registers));
  Check("devices are mapped uncached",
        (entry & (kCacheDisable | kNoExecute)) == (kCacheDisable | kNoExecute));
  const uint32_t version = *static_cast<const volatile uint32_t*>(registers) & 0xff;
  Check("a device's register is read", version >= 0x10 && version <= 0x16);
  UnmapDevice(const_cast<volatile void*>(registers), 4);
}

void CheckHole() {
  const PhysicalAddress a = ReservePhysical(16), b = ReservePhysical(16);
  Check("addresses without RAM lie above it", a >= uint64_t{4} << 30 && a >= Ram().back().end);
  Check("addresses without RAM are given once", b >= a + 16 * kPageSize);
  ReleasePhysical(a, 16);
  Check("addresses without RAM serve again", ReservePhysical(16) == a);
  ReleasePhysical(a, 16);
  ReleasePhysical(b, 16);
  Check("too many addresses are refused", ReservePhysical(size_t{1} << 40) == 0);
}

}  // namespace

void CheckMemory() {
  Check("RAM is ascending and aligned",
        std::is_sorted(Ram().begin(), Ram().end(), [](const MemoryRange& a, const MemoryRange& b) {
          return a.end <= b.begin && a.begin % kPageSize == 0;
        }));
  CheckMapping();
  CheckRun();
  CheckExhaustion();
  CheckDevice();
  CheckHole();
}

}  // namespace librettos::xen
