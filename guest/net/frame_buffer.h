// Received frames as lwIP's custom pbufs of up to kMaxFrameBytes: lwIP's own allocation wraps at 64 KiB.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lwip/pbuf.h"

namespace librettos::guest {

// Allocated with room for one frame; becomes a pbuf with ToPbuf, and is then freed by the stack.
class FrameBuffer {
 public:
  static FrameBuffer* Allocate(uint32_t capacity);  // nullptr: no memory.
  void Free();
  std::byte* data() { return data_; }
  uint32_t capacity() const { return capacity_; }
  // `length` <= min(capacity, 65535). The buffer belongs to the returned pbuf. A frame that fills less than
  // half of a large buffer is copied into one of its size: it may wait long in a queue, and must not pin 64
  // KiB. nullptr: no memory; the buffer was freed.
  pbuf* ToPbuf(uint32_t length);

 private:
  static void Release(pbuf* p);
  pbuf_custom custom_;  // First: the pbuf is the buffer.
  uint32_t capacity_;
  FrameBuffer* next_;  // While cached.
  std::byte* data_;
  alignas(16) std::byte storage_[];
};

}  // namespace librettos::guest
