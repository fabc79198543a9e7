// A ring in private memory, and frames to send through it, for tests and the fuzzer.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "guest/channel/ring.h"

namespace librettos::channel {

class RingMemory {
 public:
  // `start`: where both indices stand.
  explicit RingMemory(uint32_t entries, uint32_t slot_bytes = 2048, uint32_t start = 0)
      : control_(new RingControl()),
        descriptors_(new Descriptor[entries]()),
        slots_(static_cast<std::byte*>(std::calloc(entries, slot_bytes)), &std::free) {
    view_.control = control_.get();
    view_.descriptors = descriptors_.get();
    view_.slots = slots_.get();
    view_.entries = entries;
    view_.slot_bytes = slot_bytes;
    control_->producer.index = start;
    control_->consumer.index = start;
  }
  const RingView& view() const { return view_; }
  RingControl& control() { return *control_; }
  Descriptor& descriptor(uint32_t index) { return descriptors_[index % view_.entries]; }
  std::byte* slot(uint32_t slot) { return view_.slots + size_t{slot} * view_.slot_bytes; }

  // What a hostile producer does: a descriptor as it likes, for the entry at the producer index + `ahead`.
  void Write(uint32_t ahead, const Descriptor& descriptor) {
    this->descriptor(control_->producer.index.load() + ahead) = descriptor;
  }
  void Advance(uint32_t entries) { control_->producer.index.fetch_add(entries); }

 private:
  std::unique_ptr<RingControl> control_;
  std::unique_ptr<Descriptor[]> descriptors_;
  std::unique_ptr<std::byte, decltype(&std::free)> slots_;
  RingView view_;
};

using Bytes = std::vector<std::byte>;

// `length` bytes that differ for each `seed` and position.
inline Bytes Pattern(uint32_t seed, uint32_t length) {
  Bytes bytes(length);
  uint32_t state = seed * 2654435761u + 12345;
  for (std::byte& b : bytes) {
    state = state * 1664525u + 1013904223u;
    b = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

template <class Index>
Status PutBytes(Producer<Index>& producer, const Bytes& bytes, const Offload& offload = {}) {
  const Part part = {bytes.data(), static_cast<uint32_t>(bytes.size())};
  OutFrame frame;
  frame.parts = {&part, 1};
  frame.length = part.length;
  frame.offload = offload;
  return producer.Put(frame);
}

inline Bytes BytesOf(const Received& received) {
  Bytes bytes(received.length);
  received.CopyTo(bytes.data());
  return bytes;
}

}  // namespace librettos::channel
