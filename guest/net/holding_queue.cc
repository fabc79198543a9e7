#include "guest/net/holding_queue.h"

#include <cstdlib>
#include <cstring>

namespace librettos::guest {

struct HoldingQueue::Entry {
  Entry* next;
  Offload offload;
  Part part;  // The bytes below.
  std::byte data[];
};

HoldingQueue::~HoldingQueue() {
  for (uint32_t line = 0; line < lines_.size(); line++) {
    while (!empty(line)) Pop(line);
  }
}

bool HoldingQueue::Push(const OutFrame& frame, uint32_t line) {
  if (frames_ >= kMaxFrames || bytes_ + frame.length > kMaxBytes) return false;
  auto* entry = static_cast<Entry*>(std::malloc(sizeof(Entry) + frame.length));
  if (!entry) return false;
  entry->next = nullptr;
  entry->offload = frame.offload;
  entry->part = {entry->data, frame.length};
  size_t at = 0;
  for (const Part& part : frame.parts) {
    std::memcpy(entry->data + at, part.data, part.length);
    at += part.length;
  }
  Line& to = lines_[line];
  (to.tail ? to.tail->next : to.head) = entry;
  to.tail = entry;
  frames_++;
  bytes_ += frame.length;
  return true;
}

OutFrame HoldingQueue::front(uint32_t line) {
  const Entry* entry = lines_[line].head;
  return {{&entry->part, 1}, entry->part.length, entry->offload};
}

void HoldingQueue::Pop(uint32_t line) {
  Line& from = lines_[line];
  Entry* entry = from.head;
  from.head = entry->next;
  if (!from.head) from.tail = nullptr;
  frames_--;
  bytes_ -= entry->part.length;
  std::free(entry);
}

}  // namespace librettos::guest
