// The transmit ring of the 82574L. 82574 datasheet, section 7.2.
#pragma once

#include "drivers/net/dma_array.h"
#include "drivers/net/e1000e_offload.h"

namespace librettos::e1000e {

class TransmitRing {
 public:
  static constexpr uint32_t kDescriptors = 256;
  static constexpr uint32_t kBufferBytes = 4096;
  enum class Sent { kTaken, kRefused, kFull };

  Status Allocate(PciFunction& function);
  // Programs and enables the transmitter.
  void Start(PciFunction& function);
  // Copies `frame` into buffers. kRefused: not for this device.
  Sent Put(const OutFrame& frame, uint32_t mtu);
  void Publish(PciFunction& function);
  // Frees what the device has sent.
  void Reclaim();
  uint32_t free() const { return kDescriptors - 1 - used_; }
  bool idle() const { return used_ == 0; }

 private:
  void Write(uint32_t index, uint64_t first, uint32_t third, uint32_t fourth);

  DmaArray ring_;
  DmaArray buffers_;
  uint32_t next_ = 0;                              // To be filled.
  uint32_t clean_ = 0;                             // The first that is in use.
  uint32_t used_ = 0;                              // In use, from clean_ to next_.
  uint32_t published_ = 0;                         // The tail.
  uint16_t frame_descriptors_[kDescriptors] = {};  // Of the frame that begins here.
};

}  // namespace librettos::e1000e
