#include "guest/net/segmentation.h"

#include <algorithm>
#include <cstring>

#include "guest/net/headers.h"

namespace librettos::guest {

namespace {

constexpr uint8_t kFin = 0x01, kPush = 0x08, kCwr = 0x80;

void FillChecksum(std::byte* frame, size_t length, const Layout& layout) {
  size_t field = layout.transport + (layout.protocol == kProtocolTcp ? 16 : 6);
  Store16(frame + field, 0);
  auto bytes = static_cast<uint32_t>(length - layout.transport);
  uint16_t sum =
      static_cast<uint16_t>(~Fold(Sum(frame + layout.transport, bytes, PseudoSum(frame, layout, bytes))));
  if (sum == 0 && layout.protocol == kProtocolUdp) sum = 0xffff;  // RFC 768: 0 means none.
  Store16(frame + field, sum);
}

}  // namespace

void FinishInSoftware(std::span<std::byte> frame, const Offload& offload, std::span<std::byte> scratch,
                      SegmentSink* sink) {
  Layout layout = Dissect(frame.data(), frame.size());
  if (!offload.needs_checksum || layout.protocol == 0) return sink->OnSegment(frame);
  if (offload.segmentation == Segmentation::kNone || offload.segment_bytes == 0 ||
      layout.protocol != kProtocolTcp || layout.header_bytes + offload.segment_bytes > scratch.size()) {
    FillChecksum(frame.data(), frame.size(), layout);
    return sink->OnSegment(frame);
  }
  const size_t header = layout.header_bytes;
  const uint32_t sequence = Load32(frame.data() + layout.transport + 4);
  const uint16_t id = layout.ipv6 ? 0 : Load16(frame.data() + 18);
  const uint8_t flags = Load8(frame.data() + layout.transport + 13);
  uint16_t index = 0;
  for (size_t at = header; at < frame.size(); at += offload.segment_bytes, index++) {
    size_t payload = std::min<size_t>(offload.segment_bytes, frame.size() - at);
    bool last = at + payload == frame.size();
    std::byte* out = scratch.data();
    std::memcpy(out, frame.data(), header);
    std::memcpy(out + header, frame.data() + at, payload);
    if (layout.ipv6) {
      Store16(out + 18, static_cast<uint16_t>(header + payload - 54));
    } else {
      Store16(out + 16, static_cast<uint16_t>(header + payload - 14));
      Store16(out + 18, static_cast<uint16_t>(id + index));
      Store16(out + 24, 0);
      Store16(out + 24, static_cast<uint16_t>(~Fold(Sum(out + 14, layout.transport - 14))));
    }
    Store32(out + layout.transport + 4, sequence + static_cast<uint32_t>(at - header));
    uint8_t now = flags;
    if (!last) now &= static_cast<uint8_t>(~(kFin | kPush));
    if (index > 0) now &= static_cast<uint8_t>(~kCwr);
    out[layout.transport + 13] = static_cast<std::byte>(now);
    FillChecksum(out, header + payload, layout);
    sink->OnSegment({out, header + payload});
  }
}

}  // namespace librettos::guest
