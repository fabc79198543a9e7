#include "drivers/net/tap_header.h"

namespace librettos {
namespace {

constexpr uint32_t kChecksumBytes = 2;

bool ChecksumInside(uint32_t start, uint32_t offset, uint32_t length) {
  return start >= kEthernetHeaderBytes && start + offset + kChecksumBytes <= length;
}

}  // namespace

bool ToHeader(const Offload& offload, uint32_t length, VnetHeader& header) {
  header = {};
  if (length < kEthernetHeaderBytes || length > kMaxFrameBytes) return false;
  if (offload.needs_checksum) {
    if (!ChecksumInside(offload.checksum_start, offload.checksum_offset, length)) return false;
    header.flags = VnetHeader::kNeedsChecksum;
    header.csum_start = offload.checksum_start;
    header.csum_offset = offload.checksum_offset;
  } else if (offload.checksum_valid) {
    header.flags = VnetHeader::kDataValid;
  }
  switch (offload.segmentation) {
    case Segmentation::kNone:
      header.gso_type = VnetHeader::kNoSegments;
      return true;
    case Segmentation::kTcp4:
      header.gso_type = VnetHeader::kTcp4;
      break;
    case Segmentation::kTcp6:
      header.gso_type = VnetHeader::kTcp6;
      break;
    default:
      return false;
  }
  // Segments need checksums of their own.
  if (!offload.needs_checksum || offload.segment_bytes == 0) return false;
  header.gso_size = offload.segment_bytes;
  header.hdr_len = offload.header_bytes <= length ? offload.header_bytes : static_cast<uint16_t>(length);
  return true;
}

bool FromHeader(const VnetHeader& header, uint32_t length, Offload& offload) {
  offload = {};
  if (header.flags & VnetHeader::kNeedsChecksum) {
    if (!ChecksumInside(header.csum_start, header.csum_offset, length)) return false;
    offload.needs_checksum = true;
    offload.checksum_start = header.csum_start;
    offload.checksum_offset = header.csum_offset;
  }
  offload.checksum_valid = (header.flags & VnetHeader::kDataValid) != 0;
  switch (header.gso_type) {
    case VnetHeader::kNoSegments:
      return true;
    case VnetHeader::kTcp4:
      offload.segmentation = Segmentation::kTcp4;
      break;
    case VnetHeader::kTcp6:
      offload.segmentation = Segmentation::kTcp6;
      break;
    default:
      return false;
  }
  if (!offload.needs_checksum || header.gso_size == 0) return false;
  offload.segment_bytes = header.gso_size;
  offload.header_bytes = header.hdr_len;
  return true;
}

}  // namespace librettos
