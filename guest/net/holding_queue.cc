#include "guest/net/holding_queue.h"

#include <cstdlib>
#include <cstring>

namespace librettos::guest {

struct HoldingQueue::Entry {
  Entry* next;
  Offload offload;
  uint32_t length;
  std::byte data[];
};

HoldingQueue::~HoldingQueue() {
  while (!empty()) Pop();
}

bool HoldingQueue::Push(const OutFrame& frame) {
  if (frames_ >= kMaxFrames || bytes_ + frame.length > kMaxBytes) return false;
  auto* entry = static_cast<Entry*>(std::malloc(sizeof(Entry) + frame.length));
  if (!entry) return false;
  entry->next = nullptr;
  entry->offload = frame.offload;
  entry->length = frame.length;
  size_t at = 0;
  for (const Part& part : frame.parts) {
    std::memcpy(entry->data + at, part.data, part.length);
    at += part.length;
  }
  (tail_ ? tail_->next : head_) = entry;
  tail_ = entry;
  frames_++;
  bytes_ += frame.length;
  return true;
}

std::span<std::byte> HoldingQueue::front() { return {head_->data, head_->length}; }
const Offload& HoldingQueue::front_offload() const { return head_->offload; }

void HoldingQueue::Pop() {
  Entry* entry = head_;
  head_ = entry->next;
  if (!head_) tail_ = nullptr;
  frames_--;
  bytes_ -= entry->length;
  std::free(entry);
}

}  // namespace librettos::guest
