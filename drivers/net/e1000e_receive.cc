#include "drivers/net/e1000e_receive.h"

#include <string.h>

namespace librettos::e1000e {
namespace {

uint32_t Length(uint64_t word) { return static_cast<uint32_t>(word >> kRxLengthShift) & 0xffff; }

}  // namespace

Status ReceiveRing::Allocate(PciFunction& function) {
  Status status = ring_.Allocate(function, 1, kDescriptors * kDescriptorBytes);
  if (status.ok()) status = buffers_.Allocate(function, kDescriptors, kReceiveBufferBytes);
  return status;
}

void ReceiveRing::Start(PciFunction& function) {
  for (uint32_t i = 0; i < kDescriptors; ++i) Offer(i);
  function.Write32(0, kRdbal, static_cast<uint32_t>(ring_.bus_address(0)));
  function.Write32(0, kRdbah, static_cast<uint32_t>(ring_.bus_address(0) >> 32));
  function.Write32(0, kRdlen, kDescriptors * kDescriptorBytes);
  function.Write32(0, kRdh, 0);
  function.Write32(0, kRdtr, 0);
  function.Write32(0, kRadv, 0);
  function.Write32(0, kRxdctl, kRxdctlValue);
  std::atomic_thread_fence(std::memory_order_release);
  // One less than all: equal head and tail mean that there is none (7.1.8).
  function.Write32(0, kRdt, kDescriptors - 1);
}

void ReceiveRing::Offer(uint32_t index) {
  ring_.word<uint64_t>(index * kDescriptorBytes)
      .store(buffers_.bus_address(index), std::memory_order_relaxed);
  ring_.word<uint64_t>(index * kDescriptorBytes + 8).store(0, std::memory_order_relaxed);
}

bool ReceiveRing::Ready() {
  while (!whole_ && seen_ < kDescriptors - 1) {
    const uint32_t index = (next_ + seen_) % kDescriptors;
    // Acquire: the buffer is read after.
    const uint64_t word = ring_.word<uint64_t>(index * kDescriptorBytes + 8).load(std::memory_order_acquire);
    if (!(word & kRxDone)) return false;
    words_[seen_++] = word;
    whole_ = word & kRxEnd;
  }
  return true;  // Or all are done and none ends the frame: a broken device.
}

ReceiveRing::Got ReceiveRing::Take(InFrame& frame) {
  if (!Ready()) return Got::kNothing;
  const uint64_t last = words_[seen_ - 1];
  const bool good = whole_ && !(last & kRxFrameErrors) && Copy(frame, last);
  for (uint32_t i = 0; i < seen_; ++i) Offer((next_ + i) % kDescriptors);
  next_ = (next_ + seen_) % kDescriptors;
  taken_ += seen_;
  seen_ = 0;
  whole_ = false;
  return good ? Got::kFrame : Got::kBad;
}

bool ReceiveRing::Copy(InFrame& frame, uint64_t last) {
  size_t length = 0;
  for (uint32_t i = 0; i < seen_; ++i) {
    const uint32_t bytes = Length(words_[i]);
    if (bytes > kReceiveBufferBytes || bytes > frame.buffer.size() - length) return false;
    memcpy(frame.buffer.data() + length, buffers_.at((next_ + i) % kDescriptors), bytes);
    length += bytes;
  }
  if (length < kEthernetHeaderBytes) return false;
  frame.length = static_cast<uint32_t>(length);
  frame.offload = {};
  frame.offload.checksum_valid =
      (last & (kRxTcpChecked | kRxUdpChecked)) && !(last & (kRxIgnoreChecksum | kRxChecksumErrors));
  return true;
}

void ReceiveRing::Publish(PciFunction& function) {
  if (taken_ < kPublishAt) return;
  taken_ = 0;
  std::atomic_thread_fence(std::memory_order_release);  // The descriptors are there before the tail says so.
  function.Write32(0, kRdt, (next_ + kDescriptors - 1) % kDescriptors);
}

}  // namespace librettos::e1000e
