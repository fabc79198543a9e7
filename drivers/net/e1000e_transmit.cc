#include "drivers/net/e1000e_transmit.h"

#include <string.h>

#include <algorithm>

#include "drivers/net/e1000e_registers.h"
#include "drivers/net/gather.h"

namespace librettos::e1000e {

Status TransmitRing::Allocate(PciFunction& function) {
  Status status = ring_.Allocate(function, 1, kDescriptors * kDescriptorBytes);
  if (status.ok()) status = buffers_.Allocate(function, kDescriptors, kBufferBytes);
  return status;
}

void TransmitRing::Start(PciFunction& function) {
  function.Write32(0, kTdbal, static_cast<uint32_t>(ring_.bus_address(0)));
  function.Write32(0, kTdbah, static_cast<uint32_t>(ring_.bus_address(0) >> 32));
  function.Write32(0, kTdlen, kDescriptors * kDescriptorBytes);
  function.Write32(0, kTdh, 0);
  function.Write32(0, kTdt, 0);
  function.Write32(0, kTidv, 0);
  function.Write32(0, kTadv, 0);
  function.Write32(0, kTxdctl, kTxdctlValue);
  function.Write32(0, kTarc0, function.Read32(0, kTarc0) | kTarcMustBeOne);
  function.Write32(0, kTipg, kTipgValue);
  function.Write32(0, kTctl, kTctlValue | kTctlEnable);
}

void TransmitRing::Write(uint32_t index, uint64_t first, uint32_t third, uint32_t fourth) {
  const size_t at = index * kDescriptorBytes;
  ring_.word<uint64_t>(at).store(first, std::memory_order_relaxed);
  ring_.word<uint32_t>(at + 8).store(third, std::memory_order_relaxed);
  ring_.word<uint32_t>(at + 12).store(fourth, std::memory_order_relaxed);
}

TransmitRing::Sent TransmitRing::Put(const OutFrame& frame, uint32_t mtu) {
  if (!Gather::IsWhole(frame)) return Sent::kRefused;
  Gather gather(frame);
  TransmitPlan plan;
  std::byte header[kHeaderBytes];
  uint32_t header_bytes = 0;
  if (frame.offload.segmentation != Segmentation::kNone) {
    header_bytes = std::min<uint32_t>(frame.length, kHeaderBytes);
    if (!gather.Copy(header, header_bytes)) return Sent::kRefused;
  }
  if (!PlanTransmit(frame, mtu, {header, header_bytes}, plan)) return Sent::kRefused;
  const uint32_t pieces = (frame.length + kBufferBytes - 1) / kBufferBytes;
  const uint32_t wanted = pieces + plan.needs_context;
  if (free() < wanted) return Sent::kFull;

  uint32_t index = next_;
  if (plan.needs_context) {
    Write(index, plan.context[0] | uint64_t{plan.context[1]} << 32, plan.context[2], plan.context[3]);
    index = (index + 1) % kDescriptors;
  }
  for (uint32_t left = frame.length; left > 0; index = (index + 1) % kDescriptors) {
    const uint32_t bytes = std::min(left, kBufferBytes);
    std::byte* buffer = buffers_.at(index);
    if (header_bytes) memcpy(buffer, header, header_bytes);
    // The parts were counted: they do not end before.
    if (!gather.Copy(buffer + header_bytes, bytes - header_bytes)) return Sent::kRefused;
    header_bytes = 0;
    left -= bytes;
    const uint32_t last = left == 0 ? kTxEnd | kTxReport : 0;
    Write(index, buffers_.bus_address(index),
          bytes | kTxTypeData | kTxExtended | kTxInsertCrc | plan.data_command | last, plan.data_options);
  }
  frame_descriptors_[next_] = static_cast<uint16_t>(wanted);
  next_ = index;
  used_ += wanted;
  return Sent::kTaken;
}

void TransmitRing::Publish(PciFunction& function) {
  if (published_ == next_) return;
  published_ = next_;
  std::atomic_thread_fence(std::memory_order_release);  // The descriptors are there before the tail says so.
  function.Write32(0, kTdt, next_);
}

void TransmitRing::Reclaim() {
  while (used_ > 0) {
    const uint32_t descriptors = frame_descriptors_[clean_];
    const uint32_t last = (clean_ + descriptors - 1) % kDescriptors;
    // Acquire: what is written into the buffers next comes after the device's last look at them.
    if (!(ring_.word<uint32_t>(last * kDescriptorBytes + 12).load(std::memory_order_acquire) & kTxDone))
      return;
    clean_ = (clean_ + descriptors) % kDescriptors;
    used_ -= descriptors;
  }
}

}  // namespace librettos::e1000e
