#include "guest/platform/xen/page_table.h"

#include "guest/platform/platform.h"

namespace librettos::xen {
namespace {

constexpr int kTopLevel = 3, kLargeLevel = 1;

constinit PhysicalAddress root = 0;

size_t IndexOf(uint64_t address, int level) { return address >> (12 + 9 * level) & 511; }

uint64_t* TableAt(uint64_t entry) { return static_cast<uint64_t*>(DirectAddress(entry & kFrameMask)); }

// The entry of `address` at `level`; tables above it are made if `make`. nullptr: there is none.
uint64_t* EntryAt(uint64_t address, int level, bool make) {
  uint64_t* table = TableAt(root);
  for (int at = kTopLevel; at > level; --at) {
    uint64_t& entry = table[IndexOf(address, at)];
    if (!(entry & kPresent)) {
      if (!make) return nullptr;
      void* page = AllocatePages(1);
      if (!page) return nullptr;
      entry = PhysicalOf(page) | kPresent | kWritable;
    }
    if (entry & kLarge) return nullptr;
    table = TableAt(entry);
  }
  return &table[IndexOf(address, level)];
}

}  // namespace

PhysicalAddress PageTableRoot() { return root; }

Status CreatePageTable() {
  void* page = AllocatePages(1);
  if (!page) return Error::kExhausted;
  root = PhysicalOf(page);
  return {};
}

void UsePageTable() { asm volatile("mov %0, %%cr3" ::"r"(root) : "memory"); }

Status MapRange(uint64_t address, PhysicalAddress physical, uint64_t bytes, uint64_t flags) {
  while (bytes > 0) {
    const bool large = bytes >= kLargePageSize && ((address | physical) & (kLargePageSize - 1)) == 0;
    uint64_t* entry = EntryAt(address, large ? kLargeLevel : 0, true);
    if (!entry) return Error::kExhausted;
    if (*entry & kPresent) Panic("memory: mapped twice");
    *entry = physical | flags | kPresent | (large ? kLarge : 0);
    const uint64_t step = large ? kLargePageSize : kPageSize;
    address += step;
    physical += step;
    bytes -= step;
  }
  return {};
}

uint64_t FindEntry(uint64_t address) {
  if (const uint64_t* entry = EntryAt(address, 0, false)) return *entry & kPresent ? *entry : 0;
  const uint64_t* entry = EntryAt(address, kLargeLevel, false);
  return entry && *entry & kPresent && *entry & kLarge ? *entry : 0;
}

uint64_t ClearEntry(uint64_t address) {
  uint64_t* entry = EntryAt(address, 0, false);
  if (!entry || !(*entry & kPresent)) return 0;
  const uint64_t old = *entry;
  *entry = 0;
  asm volatile("invlpg (%0)" ::"r"(address) : "memory");
  return old;
}

}  // namespace librettos::xen
