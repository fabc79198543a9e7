// An Ethernet frame on its way, and what is left for hardware (or a later hop) to do to it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos {

using MacAddress = std::array<uint8_t, 6>;

inline constexpr size_t kEthernetHeaderBytes = 14;
inline constexpr size_t kMaxFrameBytes =
    65535;  // One segmentation-offloaded frame, with its Ethernet header.

enum class Segmentation : uint8_t { kNone = 0, kTcp4 = 1, kTcp6 = 2 };

// Same meaning as virtio_net_hdr (Virtual I/O Device 1.1, section 5.1.6). Offsets are from the first byte of
// the Ethernet header.
struct Offload {
  bool needs_checksum = false;  // The checksum at checksum_start + checksum_offset is still partial.
  bool checksum_valid = false;  // The checksum was verified, or the frame never left the host.
  Segmentation segmentation = Segmentation::kNone;
  uint16_t segment_bytes = 0;  // TCP payload per segment on the wire; 0 without segmentation.
  uint16_t header_bytes = 0;   // Ethernet + IP + TCP headers; a hint, never trusted.
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;

  bool operator==(const Offload&) const = default;
};

// Bytes to be gathered. They may lie in memory that a hostile peer can still change: whoever takes a part may
// hand it to a device or copy it, and must not parse it (headers were copied to private memory before).
struct Part {
  const std::byte* data;
  uint32_t length;
};

// A frame to send: the concatenation of its parts.
struct OutFrame {
  std::span<const Part> parts;
  uint32_t length = 0;  // Sum of the parts.
  Offload offload;
};

// A buffer for one received frame; the driver fills it in.
struct InFrame {
  std::span<std::byte> buffer;  // At least kMaxFrameBytes if the NIC receives large segments, else MTU + 18.
  uint32_t length = 0;
  Offload offload;
};

}  // namespace librettos
