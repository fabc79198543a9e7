#include "drivers/net/virtio_queue.h"

#include <algorithm>

namespace librettos::virtio {
namespace {

constexpr uint32_t kDescriptorBytes = 16;
constexpr uint32_t kNext = 1, kWrite = 2;              // Section 2.6.5.
constexpr uint16_t kNoInterrupt = 1, kNoNotify = 1;    // Sections 2.6.6, 2.6.8.
constexpr uint32_t kFlags = 0, kIndex = 1, kRing = 2;  // 16-bit words of both rings.
constexpr uint32_t kUsedEntryBytes = 8;

}  // namespace

Status Queue::Open(PciFunction& function, Transport& transport, uint16_t index, uint16_t vector,
                   bool event_index) {
  const uint16_t offered = transport.QueueSize(index);
  if (offered < 2 || (offered & (offered - 1)) || offered == 0xffff) return Error::kIo;
  size_ = std::min(offered, kMaxSize);
  index_ = index;
  event_index_ = event_index;
  available_at_ = kDescriptorBytes * size_;
  used_at_ = (available_at_ + 2 * (3 + size_) + 3) & ~3u;
  const uint32_t bytes = used_at_ + 2 * 3 + kUsedEntryBytes * size_;
  Status status = ring_.Allocate(function, 1, bytes);
  if (status.ok()) status = buffers_.Allocate(function, size_, kBufferBytes);
  if (!status.ok()) return status;
  for (uint16_t i = 0; i < size_; ++i) next_[i] = i + 1 < size_ ? i + 1 : kNone;
  first_free_ = 0;
  free_ = size_;
  Disarm();
  const uint64_t base = ring_.bus_address(0);
  return transport.EnableQueue(index, size_, base, base + available_at_, base + used_at_, vector);
}

uint16_t Queue::Allocate() {
  const uint16_t descriptor = first_free_;
  first_free_ = next_[descriptor];
  --free_;
  next_[descriptor] = kNone;
  if (chain_first_ == kNone) {
    chain_first_ = descriptor;
  } else {
    next_[chain_last_] = descriptor;
  }
  chain_last_ = descriptor;
  return descriptor;
}

void Queue::Put(uint32_t length, bool device_writes) {
  uint16_t count = 0;
  for (uint16_t at = chain_first_; at != kNone; at = next_[at], ++count) {
    const uint32_t bytes = std::min(length, kBufferBytes);
    length -= bytes;
    const uint32_t flags = (next_[at] != kNone ? kNext : 0) | (device_writes ? kWrite : 0);
    const uint64_t next = next_[at] != kNone ? next_[at] : 0;
    ring_.word<uint64_t>(kDescriptorBytes * at).store(buffers_.bus_address(at), std::memory_order_relaxed);
    ring_.word<uint64_t>(kDescriptorBytes * at + 8)
        .store(bytes | uint64_t{flags} << 32 | next << 48, std::memory_order_relaxed);
  }
  chained_[chain_first_] = count;
  Available(kRing + put_ % size_).store(chain_first_, std::memory_order_relaxed);
  ++put_;
  chain_first_ = chain_last_ = kNone;
}

void Queue::Publish(Transport& transport) {
  if (published_ == put_) return;
  // Release: the descriptors and the ring are there before the index says so.
  Available(kIndex).store(put_, std::memory_order_release);
  // Whether it wants to know is read after it can see the index (2.6.7.1), so that one of the two sees the
  // other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool wanted;
  if (event_index_) {
    const uint16_t event =
        ring_.word<uint16_t>(used_at_ + 2 * kRing + kUsedEntryBytes * size_).load(std::memory_order_relaxed);
    wanted = static_cast<uint16_t>(put_ - event - 1) < static_cast<uint16_t>(put_ - published_);
  } else {
    wanted = !(UsedWord(kFlags).load(std::memory_order_relaxed) & kNoNotify);
  }
  published_ = put_;
  if (wanted) transport.Notify(index_);
}

uint16_t Queue::Waiting() {
  if (broken_) return 0;
  // Acquire: entries and buffers are read after.
  const uint16_t waiting = UsedWord(kIndex).load(std::memory_order_acquire) - taken_;
  if (waiting <= size_) return waiting;
  broken_ = true;
  return 0;
}

bool Queue::Peek(uint16_t n, Used& used) {
  const uint32_t slot = static_cast<uint16_t>(taken_ + n) % size_;
  // Two loads: an entry is aligned to four bytes only.
  const size_t at = used_at_ + 2 * kRing + kUsedEntryBytes * slot;
  const uint32_t head = ring_.word<uint32_t>(at).load(std::memory_order_relaxed);
  used.length = ring_.word<uint32_t>(at + 4).load(std::memory_order_relaxed);
  if (head >= size_ || chained_[head] == 0) {
    broken_ = true;
    return false;
  }
  used.head = static_cast<uint16_t>(head);
  return true;
}

void Queue::Pop(const Used& used) {
  uint16_t last = used.head;
  while (next_[last] != kNone) last = next_[last];
  next_[last] = first_free_;
  first_free_ = used.head;
  free_ += chained_[used.head];
  chained_[used.head] = 0;
  ++taken_;
}

void Queue::Arm(uint16_t more) {
  if (event_index_) {
    const uint16_t half = static_cast<uint16_t>(put_ - taken_) / 2;  // More than there are would never come.
    Available(kRing + size_).store(taken_ + std::min(more, half), std::memory_order_relaxed);
  } else {
    Available(kFlags).store(0, std::memory_order_relaxed);
  }
  // The caller looks for used entries after the device can see that it wants an interrupt (2.6.7.1).
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Queue::Disarm() {
  if (event_index_) {
    // Behind all that will be used: reached after 65,535 more, which costs one needless interrupt.
    Available(kRing + size_).store(taken_ - 1, std::memory_order_relaxed);
  } else {
    Available(kFlags).store(kNoInterrupt, std::memory_order_relaxed);
  }
}

}  // namespace librettos::virtio
