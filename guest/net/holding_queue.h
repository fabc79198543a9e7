// Frames that wait because their way is closed for a moment: copies, in one line for each queue pair of the
// channel, in order within a line. The bound is that of all lines together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/channel/layout.h"
#include "guest/platform/frame.h"

namespace librettos::guest {

class HoldingQueue {
 public:
  static constexpr size_t kMaxBytes = 4 << 20;
  static constexpr size_t kMaxFrames = 8192;

  HoldingQueue() = default;
  HoldingQueue(const HoldingQueue&) = delete;
  ~HoldingQueue();

  // Copies the frame to the end of `line`. False: the bound is reached or there is no memory; nothing was
  // kept.
  [[nodiscard]] bool Push(const OutFrame& frame, uint32_t line = 0);
  bool empty() const { return frames_ == 0; }
  bool empty(uint32_t line) const { return !lines_[line].head; }
  size_t frames() const { return frames_; }
  size_t bytes() const { return bytes_; }
  // The oldest of `line`, which is not empty. Good until Pop.
  OutFrame front(uint32_t line = 0);
  void Pop(uint32_t line = 0);

 private:
  struct Entry;
  struct Line {
    Entry* head = nullptr;
    Entry* tail = nullptr;
  };
  std::array<Line, channel::kMaxQueuePairs> lines_;
  size_t frames_ = 0;
  size_t bytes_ = 0;
};

}  // namespace librettos::guest
