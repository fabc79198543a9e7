#include "guest/platform/xen/memory.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/page_allocator.h"
#include "guest/platform/xen/page_table.h"
#include "guest/platform/xen/range_set.h"
#include "guest/platform/xen/spin_lock.h"
#include "guest/platform/xen/start_info.h"

extern "C" {
// From image.ld; page-aligned but for the last.
extern std::byte ImageText[], ImageConstants[], ImageData[], BootTables[], BootTablesEnd[], BootStackGuard[],
    ImageEnd[];
}

namespace librettos::xen {
namespace {

constexpr uint64_t kFourGiB = uint64_t{4} << 30;
constexpr uint64_t kPhysicalHole = uint64_t{64} << 30;  // Enough for all that peers may grant.

constinit SpinLock lock;
constinit std::array<MemoryRange, 32> ram{};
constinit size_t ram_count = 0;
using MapReader = size_t (*)(std::span<MemoryRange> out);
constinit MapReader map_reader = nullptr;
constinit PageAllocator allocator;
constinit RangeSet free_virtual, free_physical;

constexpr uint64_t RoundDown(uint64_t value) { return value & ~uint64_t{kPageSize - 1}; }
constexpr uint64_t RoundUp(uint64_t value) { return RoundDown(value + kPageSize - 1); }

PhysicalAddress ImagePhysical(const std::byte* symbol) {
  return reinterpret_cast<uint64_t>(symbol) - kImageOffset;
}

uint64_t ToFlags(Access access) {
  switch (access) {
    case Access::kReadOnly:
      return kNoExecute;
    case Access::kWritable:
      return kNoExecute | kWritable;
    case Access::kDevice:
      return kNoExecute | kWritable | kCacheDisable | kWriteThrough;
  }
  Panic("memory: no such access");
}

bool Reserved(uint64_t begin, uint64_t bytes) {
  return begin >= kReservedBegin && begin < kReservedEnd && bytes <= kReservedEnd - begin &&
         begin % kPageSize == 0;
}

// Fills `ram` from the loader's map or the hypervisor's: ascending, aligned, without overlaps and page 0.
void ReadMemoryMap() {
  const StartInfo& info = GetStartInfo();
  ram_count = info.ram_count;
  std::copy_n(info.ram.begin(), ram_count, ram.begin());
  if (ram_count == 0 && map_reader) ram_count = std::min(map_reader(ram), ram.size());
  std::sort(ram.begin(), ram.begin() + ram_count,
            [](const MemoryRange& a, const MemoryRange& b) { return a.begin < b.begin; });
  size_t kept = 0;
  PhysicalAddress covered = kPageSize;
  for (size_t i = 0; i < ram_count; ++i) {
    const PhysicalAddress begin = std::max(RoundUp(ram[i].begin), covered);
    const PhysicalAddress end = std::min(RoundDown(ram[i].end), kReservedBegin - kDirectMap);
    if (begin >= end) continue;
    ram[kept++] = {begin, end};
    covered = end;
  }
  ram_count = kept;
}

// A place for `bytes` in RAM that the boot tables map, above the image. 0: there is none.
PhysicalAddress PlaceAboveImage(uint64_t bytes) {
  for (const MemoryRange& range : Ram()) {
    const PhysicalAddress begin = std::max(range.begin, RoundUp(ImagePhysical(ImageEnd)));
    const PhysicalAddress end = std::min(range.end, kFourGiB);
    if (begin < end && end - begin >= bytes) return begin;
  }
  return 0;
}

// Frees [begin, end) without what `taken` covers.
void FreeAround(PhysicalAddress begin, PhysicalAddress end, std::span<const MemoryRange> taken) {
  for (const MemoryRange& hole : taken) {  // Ascending.
    const PhysicalAddress until = std::min(end, hole.begin);
    if (begin < until) allocator.Free(begin / kPageSize, (until - begin) / kPageSize);
    begin = std::max(begin, hole.end);
  }
  if (begin < end) allocator.Free(begin / kPageSize, (end - begin) / kPageSize);
}

void StartAllocator() {
  const size_t frames = ram[ram_count - 1].end / kPageSize;
  const size_t words = (frames + 63) / 64;
  const uint64_t bytes = RoundUp(words * sizeof(uint64_t));
  const PhysicalAddress bitmap = PlaceAboveImage(bytes);
  if (bitmap == 0) Panic("memory: too little RAM");
  allocator = PageAllocator({static_cast<uint64_t*>(DirectAddress(bitmap)), words});
  // The page tables must be in what the boot tables map; those are not freed before they are out of use.
  const MemoryRange taken[] = {{ImagePhysical(ImageText), RoundUp(ImagePhysical(ImageEnd))},
                               {bitmap, bitmap + bytes},
                               {kFourGiB, ~uint64_t{0}}};
  for (const MemoryRange& range : Ram()) FreeAround(range.begin, range.end, taken);
}

void Require(Status status) {
  if (!status.ok()) Panic("memory: too little RAM for page tables");
}

// Maps the part of RAM's direct map that lies in [begin, end).
void MapDirect(PhysicalAddress begin, PhysicalAddress end, uint64_t flags) {
  for (const MemoryRange& range : Ram()) {
    const PhysicalAddress from = std::max(range.begin, begin);
    const PhysicalAddress to = std::min(range.end, end);
    if (from < to) Require(MapRange(kDirectMap + from, from, to - from, flags));
  }
}

void MapImage(const std::byte* begin, const std::byte* end, uint64_t flags) {
  Require(MapRange(reinterpret_cast<uint64_t>(begin), ImagePhysical(begin),
                   RoundUp(static_cast<uint64_t>(end - begin)), flags));
}

void BuildPageTable() {
  Require(CreatePageTable());
  MapDirect(0, ImagePhysical(ImageText), kNoExecute | kWritable);
  MapDirect(ImagePhysical(ImageText), ImagePhysical(ImageData), kNoExecute);
  MapDirect(ImagePhysical(ImageData), ~uint64_t{0}, kNoExecute | kWritable);
  MapImage(ImageText, ImageConstants, 0);
  MapImage(ImageConstants, ImageData, kNoExecute);
  MapImage(ImageData, BootTables, kNoExecute | kWritable);
  MapImage(BootStackGuard + kPageSize, ImageEnd, kNoExecute | kWritable);
  UsePageTable();
}

void StartRanges() {
  free_virtual.Give(kReservedBegin + kPageSize, kReservedEnd - kReservedBegin - kPageSize);
  // Leaf 0x80000008: EAX bits 7 to 0 are the width of physical addresses (AMD64 APM volume 3, appendix E.4).
  unsigned width = 36;
  if (ReadCpuId(0x80000000).eax >= 0x80000008) width = ReadCpuId(0x80000008).eax & 0xff;
  constexpr uint64_t kAlignment = uint64_t{1} << 30;
  const PhysicalAddress begin =
      (std::max(ram[ram_count - 1].end, kFourGiB) + kAlignment - 1) & ~(kAlignment - 1);
  const PhysicalAddress limit = uint64_t{1} << std::min(width, 46u);
  if (begin < limit) free_physical.Give(begin, std::min(kPhysicalHole, limit - begin));
}

}  // namespace

void SetMemoryMapReader(MapReader reader) { map_reader = reader; }

void InitMemory() {
  ReadMemoryMap();
  if (ram_count == 0) Panic("memory: no memory map");
  StartAllocator();
  BuildPageTable();
  const MemoryRange low{0, kFourGiB};
  for (const MemoryRange& range : Ram()) FreeAround(range.begin, range.end, {&low, 1});
  allocator.Free(ImagePhysical(BootTables) / kPageSize,
                 static_cast<size_t>(BootTablesEnd - BootTables) / kPageSize);
  StartRanges();
}

std::span<const MemoryRange> Ram() { return {ram.data(), ram_count}; }

void* AllocatePages(size_t pages, bool zeroed) {
  lock.Lock();
  const size_t frame = allocator.Allocate(pages);
  lock.Unlock();
  if (frame == PageAllocator::kNone) return nullptr;
  void* begin = DirectAddress(frame * kPageSize);
  if (zeroed) memset(begin, 0, pages * kPageSize);
  return begin;
}

void FreePages(void* begin, size_t pages) {
  const uint64_t address = reinterpret_cast<uint64_t>(begin);
  if (address < kDirectMap || address >= kReservedBegin || address % kPageSize != 0) {
    Panic("memory: freed pages that are none");
  }
  SpinLockHolder holder(lock);
  allocator.Free((address - kDirectMap) / kPageSize, pages);
}

size_t FreePageCount() {
  SpinLockHolder holder(lock);
  return allocator.free_count();
}

PhysicalAddress PhysicalOf(const void* pointer) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  if (address >= kDirectMap && address < kReservedBegin) return address - kDirectMap;
  if (address >= kImageOffset) return address - kImageOffset;
  const uint64_t entry = FindEntry(address);
  if (entry == 0) Panic("memory: physical address of what is not mapped");
  return (entry & kFrameMask) + address % kPageSize;
}

void* DirectAddress(PhysicalAddress address) { return reinterpret_cast<void*>(kDirectMap + address); }

void* ReserveVirtual(size_t bytes) {
  if (bytes == 0 || bytes > kReservedEnd - kReservedBegin) return nullptr;
  SpinLockHolder holder(lock);
  const uint64_t begin = free_virtual.Take(RoundUp(bytes) + kPageSize);
  return begin == RangeSet::kNone ? nullptr : reinterpret_cast<void*>(begin);
}

void ReleaseVirtual(void* pointer, size_t bytes) {
  const auto begin = reinterpret_cast<uint64_t>(pointer);
  if (!Reserved(begin, bytes)) Panic("memory: released addresses that were not reserved");
  for (uint64_t at = begin; at < begin + bytes; at += kPageSize) {
    if (FindEntry(at) != 0) Panic("memory: released addresses that are mapped");
  }
  SpinLockHolder holder(lock);
  free_virtual.Give(begin, RoundUp(bytes) + kPageSize);
}

Status MapPage(void* pointer, PhysicalAddress physical, Access access) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  if (!Reserved(address, kPageSize)) Panic("memory: mapped at an address that was not reserved");
  return MapRange(address, RoundDown(physical), kPageSize, ToFlags(access));
}

void UnmapPage(void* pointer) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  if (!Reserved(address, kPageSize) || ClearEntry(address) == 0) Panic("memory: unmapped what is not mapped");
}

volatile void* MapDevice(PhysicalAddress physical, size_t bytes) {
  const uint64_t offset = physical % kPageSize;
  const uint64_t size = RoundUp(bytes + offset);
  auto* begin = static_cast<std::byte*>(ReserveVirtual(size));
  if (!begin) return nullptr;
  for (uint64_t at = 0; at < size; at += kPageSize) {
    if (MapPage(begin + at, physical - offset + at, Access::kDevice).ok()) continue;
    while (at > 0) UnmapPage(begin + (at -= kPageSize));
    ReleaseVirtual(begin, size);
    return nullptr;
  }
  return begin + offset;
}

void UnmapDevice(volatile void* registers, size_t bytes) {
  const auto address = reinterpret_cast<uint64_t>(registers);
  auto* begin = reinterpret_cast<std::byte*>(RoundDown(address));
  const uint64_t size = RoundUp(bytes + address % kPageSize);
  for (uint64_t at = 0; at < size; at += kPageSize) UnmapPage(begin + at);
  ReleaseVirtual(begin, size);
}

PhysicalAddress ReservePhysical(size_t pages) {
  if (pages == 0 || pages > kPhysicalHole / kPageSize) return 0;
  SpinLockHolder holder(lock);
  const uint64_t begin = free_physical.Take(pages * kPageSize);
  return begin == RangeSet::kNone ? 0 : begin;
}

void ReleasePhysical(PhysicalAddress begin, size_t pages) {
  SpinLockHolder holder(lock);
  free_physical.Give(begin, pages * kPageSize);
}

}  // namespace librettos::xen
