// Reads a frame's parts, each byte once and in order.
//
// The parts may lie in a hostile peer's memory: what is to be looked at is copied first, and the copy goes
// on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/platform/frame.h"

namespace librettos {

class Gather {
 public:
  // `frame` and its parts outlive the Gather.
  explicit Gather(const OutFrame& frame) : parts_(frame.parts) {}
  // True if the parts add up to the frame's length, and that is a frame's.
  static bool IsWhole(const OutFrame& frame);
  // Copies the next `bytes` bytes. False: the parts end before.
  [[nodiscard]] bool Copy(std::byte* to, size_t bytes);

 private:
  std::span<const Part> parts_;
  uint32_t offset_ = 0;  // In the first of the parts that are left.
};

}  // namespace librettos
