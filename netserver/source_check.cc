#include "netserver/source_check.h"

namespace librettos::netserver {
namespace {

// Listener reports (RFC 2710, RFC 3810).
bool IsListenerReport(uint8_t type) { return (type >= 130 && type <= 132) || type == 143; }

bool MaySendFrom(const Packet& packet, const Guest& guest, const AddressList& shared) {
  if (guest.Owns(packet.source)) return true;
  if (guest.shared() && shared.Contains(packet.source)) return true;
  if (!packet.source.unspecified()) return false;
  // Before it has verified an address, a host asks for it without one: RFC 5227 (ARP probe), RFC 4862
  // section 5.4.2 (duplicate address detection), RFC 4861 section 4.1 (router solicitation), RFC 3590
  // (listener reports).
  if (packet.network == Network::kArp) return packet.arp_operation == kArpRequest;
  if (packet.network != Network::kIpv6 || !packet.has_icmp) return false;
  return packet.icmp_type == kRouterSolicitation || IsListenerReport(packet.icmp_type) ||
         (packet.icmp_type == kNeighbourSolicitation && !packet.has_link_address);
}

Fate CheckDiscovery(const Packet& packet, const Guest& guest, const AddressList& shared) {
  if (packet.has_link_address && packet.link_address != guest.identity.mac) return Fate::k_spoofed_mac;
  switch (packet.icmp_type) {
    case kRouterAdvertisement:  // A guest is no router.
    case kRedirect6:
      return Fate::k_spoofed_address;
    case kNeighbourAdvertisement:
      if (!guest.Owns(packet.nd_target) && !(guest.shared() && shared.Contains(packet.nd_target))) {
        return Fate::k_spoofed_address;
      }
      return Fate::kForwarded;
    default:
      return Fate::kForwarded;
  }
}

// What may leave from an address that is not the guest's alone.
Fate CheckShared(const Packet& packet, const Guest& guest, const LeaseTable& leases, FragmentTable& sent,
                 Nanoseconds now) {
  int slot = static_cast<int>(guest.slot);
  if (packet.fragment && !packet.first_fragment) {
    return sent.Find(FragmentKey::Of(packet), now) == slot ? Fate::kForwarded : Fate::k_fragment_unmatched;
  }
  if (packet.has_ports) {
    if (leases.Owner(packet.protocol, packet.source_port) != slot) return Fate::k_unleased_port;
    if (packet.fragment) sent.Learn(FragmentKey::Of(packet), guest.slot, now);
    return Fate::kForwarded;
  }
  if (packet.fragment) return Fate::k_unsupported;
  if (packet.icmp_error) {  // About a packet that it got.
    if (!packet.has_quote) return Fate::k_unsupported;
    bool own = packet.quote_destination == packet.source &&
               leases.Owner(packet.quote_protocol, packet.quote_destination_port) == slot;
    return own ? Fate::kForwarded : Fate::k_unleased_port;
  }
  if (packet.neighbour_discovery ||
      (packet.has_icmp && packet.protocol == kIcmp6 && IsListenerReport(packet.icmp_type)) ||
      packet.protocol == kIgmp) {
    return Fate::kForwarded;
  }
  return Fate::k_unsupported;
}

}  // namespace

Fate CheckSource(const Packet& packet, const Guest& guest, const AddressList& shared,
                 const LeaseTable& leases, FragmentTable& sent, Nanoseconds now) {
  if (packet.source_mac != guest.identity.mac) return Fate::k_spoofed_mac;
  if (packet.network == Network::kArp && packet.arp_sender_mac != guest.identity.mac)
    return Fate::k_spoofed_mac;
  if (!MaySendFrom(packet, guest, shared)) return Fate::k_spoofed_address;
  if (packet.neighbour_discovery) {
    if (Fate fate = CheckDiscovery(packet, guest, shared); fate != Fate::kForwarded) return fate;
  }
  if (!guest.shared() || packet.network == Network::kArp) return Fate::kForwarded;
  return CheckShared(packet, guest, leases, sent, now);
}

bool OffloadFits(const Packet& packet, const Offload& offload) {
  if (offload.segmentation != Segmentation::kNone) {
    Network network = offload.segmentation == Segmentation::kTcp4 ? Network::kIpv4 : Network::kIpv6;
    if (!offload.needs_checksum || packet.network != network || packet.protocol != kTcp ||
        !packet.has_ports || packet.fragment || !offload.segment_bytes) {
      return false;
    }
  }
  if (!offload.needs_checksum) return true;
  if (packet.network == Network::kArp || packet.fragment || offload.checksum_start != packet.transport_offset)
    return false;
  return (packet.protocol == kTcp && offload.checksum_offset == 16) ||
         (packet.protocol == kUdp && offload.checksum_offset == 6) ||
         (packet.protocol == kIcmp6 && offload.checksum_offset == 2);
}

}  // namespace librettos::netserver
