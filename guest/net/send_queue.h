// The bytes a connection still has to bring to its peer: kept here until acknowledged, so that TCP segments
// can refer to them without a copy. Bytes never move once appended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos::guest {

class SendQueue {
 public:
  static constexpr size_t kMaxBytes = 2 << 20;  // Not yet acknowledged.

  SendQueue() = default;
  SendQueue(const SendQueue&) = delete;
  ~SendQueue() { Clear(); }

  // Copies as much as fits; returns how much.
  size_t Append(std::span<const std::byte> data);
  // The next bytes not yet handed to TCP that lie together; empty if none.
  std::span<const std::byte> Next() const;
  void Advance(size_t bytes);      // So many of Next() were handed to TCP.
  void Acknowledge(size_t bytes);  // The oldest handed-over bytes are with the peer: frees them.
  size_t unsent() const { return unsent_; }
  size_t size() const { return size_; }
  size_t room() const { return kMaxBytes - size_; }
  void Clear();

 private:
  struct Chunk;
  Chunk* head_ = nullptr;  // Oldest.
  Chunk* next_ = nullptr;  // Holds the next byte to hand over; nullptr: all handed over.
  Chunk* tail_ = nullptr;
  size_t next_offset_ = 0;
  size_t head_offset_ = 0;  // Acknowledged bytes of head_.
  size_t size_ = 0;
  size_t unsent_ = 0;
};

}  // namespace librettos::guest
