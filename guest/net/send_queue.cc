#include "guest/net/send_queue.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace librettos::guest {

struct SendQueue::Chunk {
  Chunk* next;
  uint32_t capacity;
  uint32_t used;
  std::byte data[];
};

namespace {
constexpr size_t kLarge = 64 << 10;
constexpr size_t kSmall = 2048;
}  // namespace

size_t SendQueue::Append(std::span<const std::byte> data) {
  size_t done = 0;
  size_t total = std::min(data.size(), room());
  while (done < total) {
    if (!tail_ || tail_->used == tail_->capacity) {
      size_t capacity = total - done > kSmall ? kLarge : kSmall;  // An idle connection keeps nothing.
      auto* chunk = static_cast<Chunk*>(std::malloc(sizeof(Chunk) + capacity));
      if (!chunk) break;
      chunk->next = nullptr;
      chunk->capacity = static_cast<uint32_t>(capacity);
      chunk->used = 0;
      (tail_ ? tail_->next : head_) = chunk;
      tail_ = chunk;
    }
    if (!next_) {
      next_ = tail_;
      next_offset_ = tail_->used;
    }
    size_t bytes = std::min<size_t>(total - done, tail_->capacity - tail_->used);
    std::memcpy(tail_->data + tail_->used, data.data() + done, bytes);
    tail_->used += static_cast<uint32_t>(bytes);
    done += bytes;
    size_ += bytes;
    unsent_ += bytes;
  }
  return done;
}

std::span<const std::byte> SendQueue::Next() const {
  if (unsent_ == 0) return {};
  const Chunk* chunk = next_;
  size_t offset = next_offset_;
  if (offset == chunk->used) {
    chunk = chunk->next;
    offset = 0;
  }
  return {chunk->data + offset, chunk->used - offset};
}

void SendQueue::Advance(size_t bytes) {
  unsent_ -= bytes;
  while (bytes > 0) {
    size_t here = std::min<size_t>(bytes, next_->used - next_offset_);
    next_offset_ += here;
    bytes -= here;
    if (next_offset_ == next_->used && next_->next) {
      next_ = next_->next;
      next_offset_ = 0;
    }
  }
}

void SendQueue::Acknowledge(size_t bytes) {
  bytes = std::min(bytes, size_ - unsent_);
  size_ -= bytes;
  while (bytes > 0) {
    size_t here = std::min<size_t>(bytes, head_->used - head_offset_);
    head_offset_ += here;
    bytes -= here;
    if (head_offset_ < head_->used) break;
    if (head_ == tail_ && size_ > 0) break;
    Chunk* chunk = head_;
    if (chunk == next_ && chunk->next) {
      next_ = chunk->next;
      next_offset_ = 0;
    }
    head_ = chunk->next;
    head_offset_ = 0;
    std::free(chunk);
    if (!head_) tail_ = next_ = nullptr;
  }
}

void SendQueue::Clear() {
  while (head_) {
    Chunk* chunk = head_;
    head_ = chunk->next;
    std::free(chunk);
  }
  tail_ = next_ = nullptr;
  size_ = unsent_ = head_offset_ = next_offset_ = 0;
}

}  // namespace librettos::guest
