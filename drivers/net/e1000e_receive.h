// The receive ring of the 82574L. 82574 datasheet, section 7.1; extended descriptors, 7.1.5.
//
// What the device writes back is hostile: a descriptor's word is loaded once, into private memory, and
// lengths are checked against the buffers.
#pragma once

#include "drivers/net/dma_array.h"
#include "drivers/net/e1000e_registers.h"
#include "guest/platform/frame.h"

namespace librettos::e1000e {

class ReceiveRing {
 public:
  static constexpr uint32_t kDescriptors = 512;
  enum class Got { kNothing, kFrame, kBad };

  Status Allocate(PciFunction& function);
  // Programs the ring; the receiver is enabled by RCTL.
  void Start(PciFunction& function);
  // kBad: the device reported an error, or the frame does not fit; it is gone.
  Got Take(InFrame& frame);
  // A whole frame is there.
  bool Ready();
  // Gives buffers back to the device, some at a time.
  void Publish(PciFunction& function);

 private:
  static constexpr uint32_t kPublishAt = 16;

  bool Copy(InFrame& frame, uint64_t last);
  void Offer(uint32_t index);

  DmaArray ring_;
  DmaArray buffers_;
  uint32_t next_ = 0;   // The first of the next frame.
  uint32_t seen_ = 0;   // Descriptors that are done, from next_ on: their words are in words_.
  bool whole_ = false;  // The last of them ends the frame.
  uint32_t taken_ = 0;  // Since the tail was written.
  uint64_t words_[kDescriptors];
};

}  // namespace librettos::e1000e
