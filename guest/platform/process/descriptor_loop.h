// Watching file descriptors with the loop of a process domain: for drivers whose device is a descriptor.
#pragma once

#include <cstdint>

#include "guest/platform/platform.h"

namespace librettos::process {

class DescriptorLoop {
 public:
  // Calls `handler` from Loop::Wait while any of `events` (EPOLLIN, EPOLLOUT …) holds: level-triggered. A
  // second Add for the same descriptor replaces the first. kExhausted or kInvalidArgument if the kernel
  // refuses.
  virtual Status Add(int descriptor, uint32_t events, Handler* handler) = 0;
  // No call follows, not even in the round under way. Before the descriptor is closed. Unknown ones are
  // ignored.
  virtual void Remove(int descriptor) = 0;

 protected:
  ~DescriptorLoop() = default;
};

// Of a platform made by guest/platform/process.
DescriptorLoop& DescriptorLoopOf(Platform& platform);

}  // namespace librettos::process
