#include "netserver/responder.h"

#include <cstring>

namespace librettos::netserver {
namespace {

constexpr uint32_t kAdvertisementBytes = 14 + 40 + 24 + 8;

void Put16(std::byte* at, uint32_t value) {
  at[0] = static_cast<std::byte>(value >> 8);
  at[1] = static_cast<std::byte>(value);
}

uint16_t Get16(const std::byte* at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(at[0]) << 8 | static_cast<uint8_t>(at[1]));
}

void PutAddress(std::byte* at, const Address& address) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<std::byte>(address.high >> (56 - 8 * i));
  for (int i = 0; i < 8; ++i) at[8 + i] = static_cast<std::byte>(address.low >> (56 - 8 * i));
}

// RFC 1071.
uint16_t Checksum(const std::byte* data, uint32_t bytes, uint64_t sum) {
  for (; bytes > 1; bytes -= 2, data += 2) sum += Get16(data);
  if (bytes) sum += static_cast<uint32_t>(data[0]) << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void SwapMacs(const Packet& packet, const MacAddress& mac, std::byte* frame) {
  memcpy(frame, packet.source_mac.data(), 6);
  memcpy(frame + 6, mac.data(), 6);
}

uint32_t RespondArp(const Packet& packet, const MacAddress& mac, std::byte* frame, uint32_t length) {
  SwapMacs(packet, mac, frame);
  std::byte* arp = frame + kEthernetHeaderBytes;
  std::byte target[4];
  memcpy(target, arp + 24, 4);
  Put16(arp + 6, kArpReply);
  memcpy(arp + 18, arp + 8, 10);  // The asker becomes the target.
  memcpy(arp + 8, mac.data(), 6);
  memcpy(arp + 14, target, 4);
  return length;
}

uint32_t RespondSolicitation(const Packet& packet, const MacAddress& mac, std::byte* frame) {
  // RFC 4861 section 7.2.4: to one who has no address yet, it goes to all nodes and is not "solicited".
  bool anonymous = packet.source.unspecified();
  Address destination = anonymous ? Address{uint64_t{0xff02} << 48, 1} : packet.source;
  constexpr MacAddress kAllNodes = {0x33, 0x33, 0, 0, 0, 1};
  memcpy(frame, anonymous ? kAllNodes.data() : packet.source_mac.data(), 6);
  memcpy(frame + 6, mac.data(), 6);
  Put16(frame + 12, kEtherIpv6);
  std::byte* ip = frame + kEthernetHeaderBytes;
  memset(ip, 0, kAdvertisementBytes - kEthernetHeaderBytes);
  ip[0] = std::byte{0x60};
  Put16(ip + 4, 32);
  ip[6] = std::byte{kIcmp6};
  ip[7] = std::byte{255};
  PutAddress(ip + 8, packet.nd_target);
  PutAddress(ip + 24, destination);
  std::byte* icmp = ip + 40;
  icmp[0] = std::byte{kNeighbourAdvertisement};
  icmp[4] = anonymous ? std::byte{0x20} : std::byte{0x60};  // Override, solicited.
  PutAddress(icmp + 8, packet.nd_target);
  icmp[24] = std::byte{2};  // Target link-layer address.
  icmp[25] = std::byte{1};
  memcpy(icmp + 26, mac.data(), 6);
  Put16(icmp + 2, Checksum(ip + 8, 32 + 32, uint64_t{32} + kIcmp6));  // Addresses, message, pseudo-header.
  return kAdvertisementBytes;
}

uint32_t RespondEcho(const Packet& packet, const MacAddress& mac, std::byte* frame, uint32_t length) {
  // Never to where it would multiply.
  if (packet.source.unspecified() || IsMulticast(packet.source_mac)) return 0;
  bool v6 = packet.network == Network::kIpv6;
  SwapMacs(packet, mac, frame);
  std::byte* ip = frame + packet.network_offset;
  std::byte* icmp = frame + packet.transport_offset;
  uint32_t size = v6 ? 16 : 4;
  std::byte* source = ip + (v6 ? 8 : 12);
  std::byte keep[16];
  memcpy(keep, source, size);
  memcpy(source, source + size, size);
  memcpy(source + size, keep, size);
  icmp[0] = static_cast<std::byte>(v6 ? kEchoReply6 : kEchoReply4);
  // RFC 1624: only the type changed, the pseudo-header's sum did not.
  uint32_t from = (v6 ? kEchoRequest6 : kEchoRequest4) << 8, to = (v6 ? kEchoReply6 : kEchoReply4) << 8;
  uint64_t sum = uint64_t{0xffffu & ~uint32_t{Get16(icmp + 2)}} + (0xffff & ~from) + to;
  Put16(icmp + 2, Checksum(nullptr, 0, sum));
  if (v6) {
    ip[7] = std::byte{64};
  } else {
    ip[8] = std::byte{64};
    Put16(ip + 10, 0);
    Put16(ip + 10, Checksum(ip, packet.transport_offset - packet.network_offset, 0));
  }
  return length;
}

}  // namespace

uint32_t Respond(const Packet& packet, const MacAddress& mac, std::span<std::byte> frame, uint32_t length) {
  if (packet.network == Network::kArp) return RespondArp(packet, mac, frame.data(), length);
  if (!packet.has_icmp || packet.fragment) return 0;
  if (packet.network == Network::kIpv6 && packet.icmp_type == kNeighbourSolicitation) {
    return frame.size() < kAdvertisementBytes ? 0 : RespondSolicitation(packet, mac, frame.data());
  }
  uint8_t request = packet.network == Network::kIpv4 ? kEchoRequest4 : kEchoRequest6;
  // Extension headers or options could lead the answer elsewhere.
  uint32_t plain = packet.network_offset + (packet.network == Network::kIpv4 ? 20u : 40u);
  if (packet.icmp_type != request || packet.transport_offset != plain) return 0;
  return RespondEcho(packet, mac, frame.data(), length);
}

}  // namespace librettos::netserver
