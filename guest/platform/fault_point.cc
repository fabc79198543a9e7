#include "guest/platform/fault_point.h"

#ifdef LIBRETTOS_FAULT_POINTS

#include <cstdint>

namespace librettos {
namespace {

// Found by its magic, in memory and in the image; so it has to be among the initialised data.
// Volatile: written from outside of the process.
struct FaultPage {
  char magic[16];
  uint32_t reached;  // 1: the armed point was come to.
  uint32_t skip;     // So many times first.
  char armed[48];    // Name of a point; empty: none.
};
volatile FaultPage page = {"LIBRETTOS-FAULT", 0, 0, ""};

bool IsArmed(const char* name) {
  for (uint32_t i = 0; i < sizeof(page.armed); ++i) {
    if (page.armed[i] != name[i]) return false;
    if (name[i] == 0) return page.magic[0] == 'L';  // Refers to the magic, so that it is kept.
  }
  return false;
}

}  // namespace

void ReachFaultPoint(const char* name) {
  if (page.armed[0] == 0 || !IsArmed(name)) return;
  if (page.skip != 0) {
    page.skip = page.skip - 1;
    return;
  }
  page.reached = 1;
  while (page.armed[0] != 0) __builtin_ia32_pause();
}

}  // namespace librettos

#endif
