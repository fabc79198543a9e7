// What the loader tells: the memory map and the command line.
//
// Layout of hvm_start_info and of its memory map: xen/include/public/arch-x86/hvm/start_info.h. All of it is
// copied while the boot tables still map the first 4 GiB; nothing points into it afterwards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "guest/platform/xen/memory.h"

namespace librettos::xen {

struct StartInfo {
  std::array<MemoryRange, 32> ram{};  // As told: not sorted, maybe not aligned.
  size_t ram_count = 0;               // 0: the loader gave no memory map.
  std::array<char, 1024> command_line{};
};

// Reads what is at `address`. What is not there, not of version 1 or out of reach counts as absent.
void ReadStartInfo(PhysicalAddress address);
const StartInfo& GetStartInfo();

}  // namespace librettos::xen
