// What the headers of a frame say, read from a private copy of its first bytes.
//
// Pure; any thread. The bytes are hostile but private: they do not change while they are read. Nothing
// outside of the given copy is read, work is bounded by its length, and what does not add up is refused with
// a reason. Checksums are not verified: that is the receiving stack's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/frame.h"
#include "netserver/address.h"

namespace librettos::netserver {

inline constexpr uint8_t kIcmp = 1, kIgmp = 2, kTcp = 6, kUdp = 17, kIcmp6 = 58;
inline constexpr uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86dd;
inline constexpr uint16_t kArpRequest = 1, kArpReply = 2;
inline constexpr uint8_t kEchoRequest4 = 8, kEchoReply4 = 0, kEchoRequest6 = 128, kEchoReply6 = 129;
inline constexpr uint8_t kRouterSolicitation = 133, kRouterAdvertisement = 134, kNeighbourSolicitation = 135,
                         kNeighbourAdvertisement = 136, kRedirect6 = 137;
// Multicast listener discovery, RFC 2710 and RFC 3810.
inline constexpr uint8_t kListenerReport = 131, kListenerDone = 132, kListenerReport2 = 143;
// Bytes of a frame that are enough to classify it: Ethernet, IPv4 with all options, ICMP, and a quoted IPv4
// header with all options and its ports come to 150.
inline constexpr size_t kPacketHeaderBytes = 192;

enum class Network : uint8_t { kArp, kIpv4, kIpv6 };
enum class Parsed : uint8_t {
  kOk,
  kMalformed,    // Truncated or inconsistent.
  kUnsupported,  // Another protocol, or headers longer than what is looked at.
};

struct Packet {
  MacAddress destination_mac, source_mac;
  Network network = Network::kIpv4;
  Address source, destination;  // ARP: of sender and target.
  // ARP.
  uint16_t arp_operation = 0;
  MacAddress arp_sender_mac;
  // IP.
  uint8_t protocol = 0;           // Upper layer; in a fragment that is not the first, as far as known.
  uint16_t network_offset = 0;    // Of the IP header.
  uint16_t transport_offset = 0;  // Of the upper-layer header.
  uint32_t end = 0;               // Offset of the end of the IP packet; the frame may go on with padding.
  bool fragment = false;
  bool first_fragment = false;  // Of a fragment: it holds the transport header.
  uint32_t fragment_id = 0;
  // TCP and UDP.
  bool has_ports = false;
  uint16_t source_port = 0, destination_port = 0;
  // ICMP and ICMPv6.
  bool has_icmp = false;
  uint8_t icmp_type = 0, icmp_code = 0;
  bool icmp_error = false;
  bool has_quote = false;  // Of an error: the packet that it is about, as far as ports could be read.
  Address quote_source, quote_destination;
  uint8_t quote_protocol = 0;
  uint16_t quote_source_port = 0, quote_destination_port = 0;
  // Neighbour discovery.
  bool neighbour_discovery = false;
  Address nd_target;              // Solicitation and advertisement.
  bool has_link_address = false;  // A source or target link-layer address option is there.
  MacAddress link_address;
};

// `header`: the first min(frame_length, kPacketHeaderBytes or more) bytes of the frame.
Parsed Parse(std::span<const std::byte> header, uint32_t frame_length, Packet& out);

}  // namespace librettos::netserver
