// Translation between Offload and the header that a TAP with IFF_VNET_HDR, and a virtio device, put before
// each frame. Virtual I/O Device 1.1, section 5.1.6; here its first 10 bytes, host byte order.
#pragma once

#include <cstdint>

#include "guest/platform/frame.h"

namespace librettos {

// As struct virtio_net_hdr, whose Linux header C++ cannot include.
struct VnetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
  static constexpr uint8_t kDataValid = 2;      // VIRTIO_NET_HDR_F_DATA_VALID
  static constexpr uint8_t kNoSegments = 0;     // VIRTIO_NET_HDR_GSO_NONE
  static constexpr uint8_t kTcp4 = 1;           // VIRTIO_NET_HDR_GSO_TCPV4
  static constexpr uint8_t kTcp6 = 4;           // VIRTIO_NET_HDR_GSO_TCPV6

  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10);

// False: the offload does not fit a frame of `length` bytes; the kernel or device would refuse it or read
// past it.
[[nodiscard]] bool ToHeader(const Offload& offload, uint32_t length, VnetHeader& header);
// False: an offset lies outside of the frame of `length` bytes, or it is of a kind that was not asked for.
[[nodiscard]] bool FromHeader(const VnetHeader& header, uint32_t length, Offload& offload);

}  // namespace librettos
