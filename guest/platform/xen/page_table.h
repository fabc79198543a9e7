// The one page table (AMD64 Architecture Programmer's Manual, volume 2, section 5.3). Inside this library
// only.
//
// Tables are read and written by the direct map. Their pages come from AllocatePages and stay: addresses are
// used again first fit, so that they are as many as the largest number of mappings at one time needed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/platform/result.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {

inline constexpr uint64_t kLargePageSize = 2 << 20;

// Bits of a page-table entry.
inline constexpr uint64_t kPresent = 1;
inline constexpr uint64_t kWritable = 1 << 1;
inline constexpr uint64_t kWriteThrough = 1 << 3;
inline constexpr uint64_t kCacheDisable = 1 << 4;
inline constexpr uint64_t kLarge = 1 << 7;
inline constexpr uint64_t kNoExecute = uint64_t{1} << 63;
inline constexpr uint64_t kFrameMask = 0x000ffffffffff000;

// Value for CR3.
PhysicalAddress PageTableRoot();
// Makes an empty root; it is not in use before UsePageTable.
Status CreatePageTable();
void UsePageTable();

// Maps [address, address + bytes) to physical memory, by pages of 2 MiB where both are aligned to that,
// `flags` beside kPresent. All page-aligned; nothing may be mapped there (Panic).
Status MapRange(uint64_t address, PhysicalAddress physical, uint64_t bytes, uint64_t flags);

// The entry that maps `address`, kLarge set if it is one of 2 MiB; 0: nothing is mapped there.
uint64_t FindEntry(uint64_t address);
// Clears the 4 KiB entry of `address` and returns it; 0: there was none.
uint64_t ClearEntry(uint64_t address);

}  // namespace librettos::xen
