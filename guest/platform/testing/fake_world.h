// What FakeWorld and FakePlatform share with each other and with nobody else.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

#include "guest/platform/testing/fake_platform.h"

namespace librettos::fake {

// Zeroed memory between two pages that cannot be touched; only what is used costs anything.
struct FakeWorld::Memory {
  explicit Memory(size_t size) : bytes(size), mapped((size + 3 * kPageSize - 1) / kPageSize * kPageSize) {
    void* all = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) std::abort();
    data = static_cast<std::byte*>(all) + kPageSize;
    if (mprotect(data, mapped - 2 * kPageSize, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  ~Memory() { munmap(data - kPageSize, mapped); }
  std::byte* data;
  const size_t bytes;
  const size_t mapped;
};

// Side 0 offered it, side 1 bound it. pending[i]: side i is to be called.
struct FakeWorld::Doorbell {
  std::atomic<bool> pending[2] = {false, false};
};

inline bool Below(std::string_view path, std::string_view prefix) {
  return path == prefix || (path.size() > prefix.size() && path.starts_with(prefix) &&
                            (prefix.ends_with('/') || path[prefix.size()] == '/'));
}

}  // namespace librettos::fake
