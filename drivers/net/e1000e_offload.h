// What the 82574 must be told, and what must stand in a frame's headers, so that it computes checksums and
// segments. 82574 datasheet, sections 7.2.11 (context descriptor) and 7.3 (segmentation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/frame.h"

namespace librettos::e1000e {

struct TransmitPlan {
  bool needs_context = false;
  uint32_t context[4] = {};   // The context descriptor.
  uint32_t data_command = 0;  // For each data descriptor,
  uint32_t data_options = 0;  // and its options.
};

// How many of a frame's first bytes `PlanTransmit` wants for its `header`.
inline constexpr size_t kHeaderBytes = 256;

// `header` is a private copy of the frame's first bytes, and is only looked at (and changed: the device wants
// lengths and checksums prepared) if the frame is to be segmented; whatever else the frame's offload says of
// its headers is not believed. False: not a frame for this device, at this MTU.
[[nodiscard]] bool PlanTransmit(const OutFrame& frame, uint32_t mtu, std::span<std::byte> header,
                                TransmitPlan& plan);

}  // namespace librettos::e1000e
