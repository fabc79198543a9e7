// The domain's memory: pages of RAM, the address space, and addresses with nothing behind them.
//
// One address space for all CPUs, no user mode. Nothing is ever writable and executable:
//   image        0xffffffff80000000 + physical address; text R-X, constants R--, data RW-
//   direct map   kDirectMap + physical address; all RAM, RW-, but the image's text and constants R--
//   reserved     ReserveVirtual's range: device registers, other domains' pages, stacks
// Everything else, page 0 first of all, is unmapped.
//
// Threading: pages and ranges from any CPU; what maps and unmaps from CPU 0 only. It flushes only that CPU's
// TLB, so no other CPU uses reserved addresses but its own stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/result.h"

namespace librettos::xen {

using PhysicalAddress = uint64_t;

inline constexpr uint64_t kDirectMap = 0xffff800000000000;
inline constexpr uint64_t kImageOffset = 0xffffffff80000000;
inline constexpr uint64_t kReservedBegin = 0xffffc00000000000;
inline constexpr uint64_t kReservedEnd = 0xffffd00000000000;

struct MemoryRange {
  PhysicalAddress begin;
  PhysicalAddress end;  // Exclusive.
  bool operator==(const MemoryRange&) const = default;
};

// ---- RAM -------------------------------------------------------------------------------------------------
// Usable RAM as the memory map tells it, ascending, page-aligned.
std::span<const MemoryRange> Ram();
// `pages` pages of RAM that lie together, also physically; in the direct map. nullptr: there are none.
void* AllocatePages(size_t pages, bool zeroed = true);
// Any of what AllocatePages returned, also part of a run. Freeing what is free ends the domain.
void FreePages(void* pages_begin, size_t pages);
size_t FreePageCount();
// Of anything mapped; Panic if it is not.
PhysicalAddress PhysicalOf(const void* address);
// The direct map's address of RAM.
void* DirectAddress(PhysicalAddress address);

// ---- Address space ---------------------------------------------------------------------------------------
enum class Access : uint8_t { kReadOnly, kWritable, kDevice };  // kDevice: writable, uncached.

// Addresses with nothing mapped, page-aligned, with an unmapped page on either side. nullptr: exhausted.
void* ReserveVirtual(size_t bytes);
// What one ReserveVirtual returned; all its pages are unmapped again.
void ReleaseVirtual(void* begin, size_t bytes);
// Maps one page of a reserved range. Never executable. kExhausted: no RAM for the page table.
Status MapPage(void* address, PhysicalAddress physical, Access access);
void UnmapPage(void* address);
// Maps device registers uncached; `physical` need not be page-aligned. nullptr: exhausted.
volatile void* MapDevice(PhysicalAddress physical, size_t bytes);
void UnmapDevice(volatile void* registers, size_t bytes);

// ---- Guest-physical addresses without RAM ----------------------------------------------------------------
// `pages` frames above all RAM and above 4 GiB, within what the CPU can address, for pages that the
// hypervisor places there: grant mappings, shared pages. Not mapped. 0: exhausted.
PhysicalAddress ReservePhysical(size_t pages);
void ReleasePhysical(PhysicalAddress begin, size_t pages);

// ---- Start -----------------------------------------------------------------------------------------------
// A second source of the memory map, for start-up information without one: fills `out` with RAM and returns
// how many ranges there are; 0: it does not know. Called before there is memory; set from InitHypervisor.
void SetMemoryMapReader(size_t (*reader)(std::span<MemoryRange> out));
// Called once by KernelMain; ends the domain if there is no usable memory map.
void InitMemory();

}  // namespace librettos::xen
