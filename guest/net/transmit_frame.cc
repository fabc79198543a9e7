#include "guest/net/transmit_frame.h"

#include <algorithm>
#include <cstring>

#include "guest/net/headers.h"

namespace librettos::guest {

namespace {
// Frames of very many pieces (a program that sends bytes one by one) are put together here.
std::byte flat[kMaxFrameBytes + 1];
}  // namespace

bool TransmitFrame::Set(pbuf* frame, uint32_t segment_bytes) {
  uint32_t length = 0;
  size_t count = 0;
  for (pbuf* p = frame; p; p = p->next) {
    length += p->len;
    count += p->len > 0;
  }
  if (length > kMaxFrameBytes || length < kEthernetHeaderBytes) return false;

  out_ = {};
  auto* header = static_cast<std::byte*>(frame->payload);
  Layout layout = Dissect(header, frame->len);
  tcp_data_ = layout.protocol == kProtocolTcp && length > layout.header_bytes;
  size_t field = layout.transport + (layout.protocol == kProtocolTcp ? 16 : 6);
  // A UDP checksum that is there already is complete (fragments; see Interface); none is 0 here.
  if (layout.protocol == kProtocolTcp || (layout.protocol == kProtocolUdp && Load16(header + field) == 0)) {
    uint32_t bytes = length - layout.transport;
    Store16(header + field, Fold(PseudoSum(header, layout, bytes)));
    out_.offload.needs_checksum = true;
    out_.offload.checksum_start = static_cast<uint16_t>(layout.transport);
    out_.offload.checksum_offset = static_cast<uint16_t>(field - layout.transport);
    if (tcp_data_ && length - layout.header_bytes > segment_bytes) {
      out_.offload.segmentation = layout.ipv6 ? Segmentation::kTcp6 : Segmentation::kTcp4;
      out_.offload.segment_bytes = static_cast<uint16_t>(segment_bytes);
      out_.offload.header_bytes = static_cast<uint16_t>(layout.header_bytes);
    }
  }

  size_t used = 0;
  if (count > kMaxParts) {
    pbuf_copy_partial(frame, flat, static_cast<u16_t>(length), 0);
    parts_[used++] = {flat, length};
  } else {
    for (pbuf* p = frame; p; p = p->next) {
      if (p->len) parts_[used++] = {static_cast<const std::byte*>(p->payload), p->len};
    }
  }
  out_.parts = {parts_, used};
  out_.length = length;
  return true;
}

}  // namespace librettos::guest
