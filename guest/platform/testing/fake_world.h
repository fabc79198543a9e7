// What FakeWorld and FakePlatform share with each other and with nobody else.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "guest/platform/testing/fake_platform.h"

namespace librettos::fake {

struct FakeWorld::Memory {
  explicit Memory(size_t size) : bytes(size) {
    data = static_cast<std::byte*>(
        std::aligned_alloc(kPageSize, (size + kPageSize - 1) / kPageSize * kPageSize));
    std::memset(data, 0, size);
  }
  ~Memory() { std::free(data); }
  std::byte* data;
  size_t bytes;
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
