#include "guest/net/flow_pair.h"

#include "guest/net/headers.h"

namespace librettos::guest {

uint32_t FlowPair::Of(std::span<const std::byte> headers) {
  if (pairs_ == 1 || headers.size() < 34) return 0;
  const std::byte* frame = headers.data();
  const uint16_t type = Load16(frame + 12);
  uint64_t mixed;
  uint32_t transport;
  uint8_t protocol;
  bool fragment, first;
  if (type == kEtherIpv4) {
    mixed = Load32(frame + 26) ^ Load32(frame + 30) * 0x9e3779b97f4a7c15;
    transport = 14 + (Load8(frame + 14) & 0xf) * 4u;
    protocol = Load8(frame + 23);
    const uint16_t offset = Load16(frame + 20);
    fragment = (offset & 0x3fff) != 0;
    first = (offset & 0x1fff) == 0;
  } else if (type == kEtherIpv6 && headers.size() >= 54) {
    // The interface identifiers: the low halves.
    mixed = (uint64_t{Load32(frame + 30)} << 32 | Load32(frame + 34)) ^
            (uint64_t{Load32(frame + 46)} << 32 | Load32(frame + 50)) * 0x9e3779b97f4a7c15;
    transport = 54;
    protocol = Load8(frame + 20);
    fragment = protocol == kProtocolFragment6 && headers.size() >= 62;
    first = fragment && Load16(frame + 56) >> 3 == 0;
    if (fragment) {
      protocol = Load8(frame + 54);
      transport = 62;
    }
  } else {
    return 0;
  }
  if (fragment && !first) return fragment_pair_;
  if ((protocol == kProtocolTcp || protocol == kProtocolUdp) && headers.size() >= transport + 4) {
    const uint32_t ports = Load32(frame + transport);
    mixed = shared_ ? ports >> 16 : mixed ^ ports;
  }
  const uint32_t pair = Pick(mixed);
  if (fragment) fragment_pair_ = pair;
  return pair;
}

}  // namespace librettos::guest
