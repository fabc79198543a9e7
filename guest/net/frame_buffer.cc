#include "guest/net/frame_buffer.h"

#include <cstdlib>
#include <cstring>

namespace librettos::guest {

namespace {

constexpr uint32_t kLarge = 65536;
constexpr uint32_t kMaxCached = 64;
// The Ethernet header ends where the IP header is aligned.
constexpr uint32_t kLead = 2;
// lwIP reads the length of a TCP option, and the first words of an IPv6 extension header, before it asks
// whether they are there: zeros behind a frame that fills its buffer.
constexpr uint32_t kTrail = 8;

// Large buffers go back here: giving 64 KiB back to the allocator and taking them again costs page faults.
FrameBuffer* cached;
uint32_t cached_count;

}  // namespace

FrameBuffer* FrameBuffer::Allocate(uint32_t capacity) {
  bool large = capacity > kLarge / 2;
  if (large && cached) {
    FrameBuffer* buffer = cached;
    cached = buffer->next_;
    cached_count--;
    return buffer;
  }
  uint32_t bytes = large ? kLarge : capacity;
  auto* buffer = static_cast<FrameBuffer*>(std::malloc(sizeof(FrameBuffer) + kLead + bytes + kTrail));
  if (!buffer) return nullptr;
  buffer->capacity_ = bytes;
  buffer->data_ = buffer->storage_ + kLead;
  std::memset(buffer->data_ + bytes, 0, kTrail);
  return buffer;
}

void FrameBuffer::Free() {
  if (capacity_ == kLarge && cached_count < kMaxCached) {
    next_ = cached;
    cached = this;
    cached_count++;
    return;
  }
  std::free(this);
}

void FrameBuffer::Release(pbuf* p) { reinterpret_cast<FrameBuffer*>(p)->Free(); }

pbuf* FrameBuffer::ToPbuf(uint32_t length) {
  FrameBuffer* buffer = this;
  if (capacity_ > 4096 && length < capacity_ / 2) {
    buffer = Allocate(length);
    if (buffer) std::memcpy(buffer->data_, data_, length);
    Free();
    if (!buffer) return nullptr;
  }
  buffer->custom_.custom_free_function = &FrameBuffer::Release;
  return pbuf_alloced_custom(PBUF_RAW, static_cast<u16_t>(length), PBUF_RAM, &buffer->custom_, buffer->data_,
                             static_cast<u16_t>(length));
}

}  // namespace librettos::guest
