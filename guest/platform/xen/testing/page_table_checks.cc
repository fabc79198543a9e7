#include <cstddef>
#include <cstdint>

#include "guest/platform/platform.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/page_table.h"
#include "guest/platform/xen/testing/check.h"

extern "C" const std::byte ImageText[], ImageConstants[], ImageData[], ImageEnd[], BootStackGuard[];

namespace librettos::xen {
namespace {

struct Survey {
  int leaves = 0;
  int writable_and_executable = 0;
  int lower_half = 0;
};

// Walks the table that the CPU uses. Rights are those that every level gives.
void Walk(PhysicalAddress table, int level, bool writable, bool executable, bool lower, Survey& survey) {
  const auto* entries = static_cast<const uint64_t*>(DirectAddress(table));
  for (int i = 0; i < 512; ++i) {
    const uint64_t entry = entries[i];
    if (!(entry & kPresent)) continue;
    const bool in_lower = level == 3 ? i < 256 : lower;
    const bool can_write = writable && entry & kWritable;
    const bool can_execute = executable && !(entry & kNoExecute);
    if (level > 0 && !(entry & kLarge)) {
      Walk(entry & kFrameMask, level - 1, can_write, can_execute, in_lower, survey);
      continue;
    }
    ++survey.leaves;
    survey.writable_and_executable += can_write && can_execute;
    survey.lower_half += in_lower;
  }
}

constexpr uint64_t kRights = kPresent | kWritable | kNoExecute;

bool AllHave(const std::byte* begin, const std::byte* end, uint64_t rights) {
  for (auto at = reinterpret_cast<uint64_t>(begin); at < reinterpret_cast<uint64_t>(end); at += kPageSize) {
    // Boot tables are unmapped after use.
    const uint64_t entry = FindEntry(at);
    if (entry != 0 && (entry & kRights) != rights) return false;
  }
  return FindEntry(reinterpret_cast<uint64_t>(begin)) != 0;
}

}  // namespace

void CheckPageTable() {
  uint64_t cr0, cr3;
  asm volatile("mov %%cr0, %0\n mov %%cr3, %1" : "=r"(cr0), "=r"(cr3));
  Survey survey;
  Walk(cr3 & kFrameMask, 3, true, true, false, survey);
  Check("pages are mapped", survey.leaves > 10);
  Check("no page is writable and executable", survey.writable_and_executable == 0);
  Check("nothing is mapped in the lower half", survey.lower_half == 0);
  Check("page 0 has no alias", FindEntry(kDirectMap) == 0 && FindEntry(kImageOffset) == 0);
  Check("write protection holds in kernel mode", cr0 & 1 << 16);
  Check("text is read-only", AllHave(ImageText, ImageConstants, kPresent));
  Check("constants are read-only and not executable",
        AllHave(ImageConstants, ImageData, kPresent | kNoExecute));
  Check("data is not executable", AllHave(ImageData, ImageEnd, kPresent | kWritable | kNoExecute));
  Check("the guard page is unmapped", FindEntry(reinterpret_cast<uint64_t>(BootStackGuard)) == 0);
  Check("text is read-only in the direct map",
        AllHave(static_cast<const std::byte*>(DirectAddress(PhysicalOf(ImageText))),
                static_cast<const std::byte*>(DirectAddress(PhysicalOf(ImageData))), kPresent | kNoExecute));
}

}  // namespace librettos::xen
