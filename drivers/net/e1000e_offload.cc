#include "drivers/net/e1000e_offload.h"

#include "drivers/net/e1000e_registers.h"

namespace librettos::e1000e {
namespace {

constexpr uint32_t kTagBytes = 4;  // A VLAN tag is within no MTU.
constexpr uint32_t kIp = kEthernetHeaderBytes;
constexpr uint32_t kIp4Bytes = 20, kIp6Bytes = 40, kTcpBytes = 20;
constexpr uint8_t kTcp = 6;
constexpr uint32_t kTcpChecksum = 16;  // Offset in the TCP header.

uint8_t Get8(std::span<std::byte> bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
uint16_t Get16(std::span<std::byte> bytes, size_t at) {
  return static_cast<uint16_t>(Get8(bytes, at) << 8 | Get8(bytes, at + 1));
}
void Put16(std::span<std::byte> bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<std::byte>(value >> 8);
  bytes[at + 1] = static_cast<std::byte>(value);
}

// The pseudo header's sum without a length, which the device adds for each segment (7.3.6).
uint16_t PseudoSum(std::span<std::byte> addresses) {
  uint32_t sum = kTcp;
  for (size_t at = 0; at < addresses.size(); at += 2) sum += Get16(addresses, at);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

void PlanChecksum(const Offload& offload, TransmitPlan& plan) {
  plan.needs_context = true;
  plan.context[1] = offload.checksum_start | (offload.checksum_start + offload.checksum_offset) << 8;
  plan.context[2] = kTxExtended | (offload.checksum_offset == kTcpChecksum ? kContextTcp : 0);
  plan.data_options = kTxInsertTcpChecksum;
}

// Where TCP begins, from the headers themselves; 0: not TCP right behind a whole IP header.
uint32_t TcpStart(Segmentation kind, std::span<std::byte> header) {
  if (header.size() < kIp + kIp4Bytes) return 0;
  const uint16_t type = Get16(header, 12);
  const uint8_t first = Get8(header, kIp);
  if (kind == Segmentation::kTcp4) {
    const uint32_t ip_bytes = (first & 15) * 4u;
    const bool fragment = Get16(header, kIp + 6) & 0x3fff;
    if (type != 0x0800 || first >> 4 != 4 || ip_bytes < kIp4Bytes || fragment) return 0;
    return Get8(header, kIp + 9) == kTcp ? kIp + ip_bytes : 0;
  }
  if (header.size() < kIp + kIp6Bytes || type != 0x86dd || first >> 4 != 6) return 0;
  return Get8(header, kIp + 6) == kTcp ? kIp + kIp6Bytes : 0;
}

}  // namespace

bool PlanTransmit(const OutFrame& frame, uint32_t mtu, std::span<std::byte> header, TransmitPlan& plan) {
  plan = {};
  const Offload& offload = frame.offload;
  const uint32_t longest = mtu + kEthernetHeaderBytes;
  if (offload.needs_checksum) {
    const uint32_t field = offload.checksum_start + offload.checksum_offset;
    if (offload.checksum_start < kEthernetHeaderBytes || field + 2 > frame.length || field > kLongestHeader)
      return false;
  }
  if (offload.segmentation == Segmentation::kNone) {
    if (frame.length > longest + kTagBytes) return false;
    if (offload.needs_checksum) PlanChecksum(offload, plan);
    return true;
  }
  const bool ip4 = offload.segmentation == Segmentation::kTcp4;
  const uint32_t tcp = TcpStart(offload.segmentation, header);
  if (tcp == 0 || header.size() < tcp + kTcpBytes) return false;
  if (!offload.needs_checksum || offload.checksum_start != tcp || offload.checksum_offset != kTcpChecksum)
    return false;
  const uint32_t tcp_bytes = (Get8(header, tcp + 12) >> 4) * 4u;
  const uint32_t header_bytes = tcp + tcp_bytes;
  if (tcp_bytes < kTcpBytes || header_bytes > kLongestHeader || header_bytes >= frame.length) return false;
  if (offload.segment_bytes < kLeastSegment || header_bytes + offload.segment_bytes > longest) return false;
  PlanChecksum(offload, plan);
  if (frame.length - header_bytes <= offload.segment_bytes) return true;  // One segment: as it is.

  const uint32_t address = ip4 ? kIp + 12 : kIp + 8;
  Put16(header, tcp + kTcpChecksum, PseudoSum(header.subspan(address, ip4 ? 8 : 32)));
  Put16(header, ip4 ? kIp + 2 : kIp + 4, 0);  // Total length; payload length.
  if (ip4) {
    Put16(header, kIp + 10, 0);
    plan.context[0] = kIp | (kIp + 10) << 8 | (tcp - 1) << 16;
    plan.data_options |= kTxInsertIpChecksum;
  } else {
    plan.context[0] = kIp;
  }
  plan.context[2] |= kTxSegment | (ip4 ? kContextIp4 : 0) | (frame.length - header_bytes);
  plan.context[3] = header_bytes << 8 | static_cast<uint32_t>(offload.segment_bytes) << 16;
  plan.data_command = kTxSegment;
  return true;
}

}  // namespace librettos::e1000e
