// Finishes in software what a NIC without offloads cannot: checksums and TCP segmentation of frames that were
// left partial (Offload). The frame is our own stack's and in private memory.
#pragma once

#include <cstdint>
#include <span>

#include "guest/platform/frame.h"

namespace librettos::guest {

class SegmentSink {
 public:
  virtual void OnSegment(std::span<const std::byte> frame) = 0;

 protected:
  ~SegmentSink() = default;
};

// Gives `sink` the frames of which `frame` consists, finished and in order. `frame` is changed. `scratch`
// holds one segment: at least header + segment bytes. Frames with nothing left to do come through as they
// are.
void FinishInSoftware(std::span<std::byte> frame, const Offload& offload, std::span<std::byte> scratch,
                      SegmentSink* sink);

}  // namespace librettos::guest
