// The driver's side of one split virtqueue. Virtual I/O Device 1.1, section 2.6.
//
// What the device writes is hostile: which descriptors it has is kept in private memory, and a used entry
// that names none of these makes the queue broken. Each descriptor has a buffer of its own.
#pragma once

#include "drivers/net/dma_array.h"
#include "drivers/net/virtio_transport.h"

namespace librettos::virtio {

class Queue {
 public:
  static constexpr uint16_t kMaxSize = 256;
  static constexpr uint32_t kBufferBytes = 4096;

  struct Used {
    uint16_t head;
    uint32_t length;  // What the device says it wrote; unchecked.
  };

  // Registers queue `index` with the device. kIo: the device's size is not one.
  Status Open(PciFunction& function, Transport& transport, uint16_t index, uint16_t vector, bool event_index);

  uint16_t size() const { return size_; }
  uint16_t free() const { return free_; }
  bool broken() const { return broken_; }

  std::byte* buffer(uint16_t descriptor) const { return buffers_.at(descriptor); }

  // Takes a free descriptor: there must be one. Put makes a chain of those that were taken since, in order,
  // and hands it to the device; `length` bytes, kBufferBytes in each but the last.
  uint16_t Allocate();
  void Put(uint32_t length, bool device_writes);
  // Tells the device of what was put, if it wants to know.
  void Publish(Transport& transport);

  // How many used entries wait. Broken: 0.
  uint16_t Waiting();
  // The n-th of those that wait, from 0. False: broken.
  bool Peek(uint16_t n, Used& used);
  // Takes the first of those that wait back; its descriptors are free. Peek(0) has succeeded.
  void Pop(const Used& used);

  // Asks for an interrupt once `more` entries beyond the next were used (a hint), or for none.
  void Arm(uint16_t more);
  void Disarm();

 private:
  static constexpr uint16_t kNone = 0xffff;

  std::atomic_ref<uint16_t> Available(uint32_t word) const {
    return ring_.word<uint16_t>(available_at_ + 2 * word);
  }
  std::atomic_ref<uint16_t> UsedWord(uint32_t word) const {
    return ring_.word<uint16_t>(used_at_ + 2 * word);
  }

  DmaArray ring_;
  DmaArray buffers_;
  uint32_t available_at_ = 0, used_at_ = 0;  // In ring_.
  uint16_t index_ = 0;
  uint16_t size_ = 0;
  bool event_index_ = false;
  bool broken_ = false;
  uint16_t free_ = 0;
  uint16_t first_free_ = kNone;
  uint16_t chain_first_ = kNone, chain_last_ = kNone;  // Allocated, not yet put.
  uint16_t put_ = 0;                                   // The available index.
  uint16_t published_ = 0;                             // That the device was told of.
  uint16_t taken_ = 0;                                 // Of the used index.
  uint16_t next_[kMaxSize];
  uint16_t chained_[kMaxSize] = {};  // Descriptors of the chain that begins here and is the device's; else 0.
};

}  // namespace librettos::virtio
