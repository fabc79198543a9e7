// Frames that wait because their way is closed for a moment: a bounded queue of copies, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/frame.h"

namespace librettos::guest {

class HoldingQueue {
 public:
  static constexpr size_t kMaxBytes = 4 << 20;
  static constexpr size_t kMaxFrames = 8192;

  HoldingQueue() = default;
  HoldingQueue(const HoldingQueue&) = delete;
  ~HoldingQueue();

  // Copies the frame to the end. False: the bound is reached or there is no memory; nothing was kept.
  [[nodiscard]] bool Push(const OutFrame& frame);
  bool empty() const { return !head_; }
  size_t frames() const { return frames_; }
  size_t bytes() const { return bytes_; }
  // The oldest. Not when empty.
  std::span<std::byte> front();
  const Offload& front_offload() const;
  void Pop();

 private:
  struct Entry;
  Entry* head_ = nullptr;
  Entry* tail_ = nullptr;
  size_t frames_ = 0;
  size_t bytes_ = 0;
};

}  // namespace librettos::guest
