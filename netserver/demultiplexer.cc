#include "netserver/demultiplexer.h"

namespace librettos::netserver {
namespace {

using Local = Verdict::Local;

Verdict Drop(Fate fate) { return {.fate = fate}; }

// Asks who has an address; nullptr: it does not.
const Address* AskedFor(const Packet& packet) {
  if (packet.network == Network::kArp) {
    // Sender = target announces (RFC 5227): that is for everybody.
    bool asks = packet.arp_operation == kArpRequest && !(packet.source == packet.destination);
    return asks ? &packet.destination : nullptr;
  }
  return packet.has_icmp && packet.icmp_type == kNeighbourSolicitation && packet.neighbour_discovery
             ? &packet.nd_target
             : nullptr;
}

// Concerns routers only, and no guest is one: solicitations of routers, and which groups somebody listens to
// (RFC 2710, RFC 3810).
bool ForRouters(const Packet& packet) {
  return packet.network == Network::kIpv6 && packet.has_icmp &&
         (packet.icmp_type == kRouterSolicitation || packet.icmp_type == kListenerReport ||
          packet.icmp_type == kListenerDone || packet.icmp_type == kListenerReport2);
}

}  // namespace

void Demultiplexer::SetShared(const AddressList& addresses, const MacAddress& mac) {
  shared_ = addresses;
  shared_mac_ = mac;
  if (shared_.count) shared_.Add(LinkLocal(mac));
}

Verdict Demultiplexer::ToOne(Guest* guest, const Guest* from) const {
  // A guest in direct mode is reached through its own NIC; but what the wire brings here was sent before it
  // moved.
  if (from && guest->direct()) return {.wire = true};
  if (!guest->active) return Drop(Fate::k_unknown_destination);
  return {.local = Local::kOne, .guest = guest};
}

Verdict Demultiplexer::FromWire(const Packet& packet, Nanoseconds now) {
  if (!IsMulticast(packet.destination_mac)) {
    if (Guest* guest = guests_.FindMac(packet.destination_mac)) return ToOne(guest, nullptr);
    if (packet.destination_mac == shared_mac_) return ToSharedMac(packet, nullptr, now);
    return Drop(Fate::k_unknown_destination);
  }
  if (const Address* asked = AskedFor(packet)) {
    if (shared_.Contains(*asked)) return {.local = Local::kRespond};
    Guest* guest = guests_.FindAddress(*asked);
    return guest ? ToOne(guest, nullptr) : Drop(Fate::k_unknown_destination);
  } else if (packet.network != Network::kArp && shared_.Contains(packet.destination)) {
    return ToSharedAddress(packet, nullptr, now);
  }
  if (ForRouters(packet)) return Drop(Fate::k_unknown_destination);
  return {.local = Local::kFlood};
}

Verdict Demultiplexer::FromGuest(const Packet& packet, const Guest& from, Nanoseconds now) {
  if (!IsMulticast(packet.destination_mac)) {
    if (Guest* guest = guests_.FindMac(packet.destination_mac)) {
      return guest == &from ? Drop(Fate::k_unknown_destination) : ToOne(guest, &from);
    }
    if (packet.destination_mac == shared_mac_) return ToSharedMac(packet, &from, now);
    return {.wire = true};
  }
  if (const Address* asked = AskedFor(packet)) {
    if (shared_.Contains(*asked)) {
      // One of the sharers looks whether somebody on the wire has its address.
      if (from.shared()) return {.wire = true};
      return {.local = Local::kRespond};
    }
    Guest* guest = guests_.FindAddress(*asked);
    Verdict verdict{.wire = true};
    if (guest && guest != &from && guest->active && !guest->direct()) {
      verdict.local = Local::kOne, verdict.guest = guest;
    }
    return verdict;
  }
  if (ForRouters(packet)) return {.wire = true};
  return {.wire = true, .local = Local::kFlood};
}

Verdict Demultiplexer::ToSharedMac(const Packet& packet, const Guest* from, Nanoseconds now) {
  if (const Address* asked = AskedFor(packet); asked && shared_.Contains(*asked)) {
    if (from && from->shared()) return Drop(Fate::k_unknown_destination);
    return {.local = Local::kRespond};
  }
  if (shared_.Contains(packet.destination)) {
    if (packet.network == Network::kArp)
      return {.local = Local::kAllShared};  // A reply: each keeps its own cache.
    return ToSharedAddress(packet, from, now);
  }
  // Somebody who knows the server only sends to one of its guests.
  Guest* guest = guests_.FindAddress(packet.destination);
  if (guest && guest != from) return ToOne(guest, from);
  return Drop(Fate::k_unknown_destination);
}

Verdict Demultiplexer::ToSharedAddress(const Packet& packet, const Guest* from, Nanoseconds now) {
  FragmentKey key = packet.fragment ? FragmentKey::Of(packet) : FragmentKey{};
  int slot = -1;
  if (packet.fragment && !packet.first_fragment) {
    slot = received_.Find(key, now);
    if (slot < 0) return from ? Drop(Fate::k_fragment_unmatched) : Verdict{.local = Local::kHold};
  } else if (packet.has_ports) {
    slot = leases_.Owner(packet.protocol, packet.destination_port);
    if (slot < 0) return Drop(Fate::k_unknown_destination);
  } else if (packet.has_icmp && !packet.fragment) {
    if (packet.neighbour_discovery) {
      // Advertisements and redirects: each keeps its own cache.
      if (packet.icmp_type == kNeighbourSolicitation) return Drop(Fate::k_unknown_destination);
      return {.local = Local::kAllShared};
    }
    if (packet.icmp_type == (packet.network == Network::kIpv4 ? kEchoRequest4 : kEchoRequest6)) {
      return {.local = Local::kRespond};
    }
    if (!packet.icmp_error || !packet.has_quote || !shared_.Contains(packet.quote_source)) {
      return Drop(Fate::k_unsupported);
    }
    slot = leases_.Owner(packet.quote_protocol, packet.quote_source_port);
    if (slot < 0) return Drop(Fate::k_unknown_destination);
  } else {
    return Drop(Fate::k_unsupported);
  }
  Guest* guest = guests_.at(static_cast<uint32_t>(slot));
  if (!guest || !guest->active) return Drop(Fate::k_unknown_destination);
  Verdict verdict{.local = Local::kOne, .guest = guest};
  if (packet.first_fragment) {
    received_.Learn(key, guest->slot, now);
    verdict.new_datagram = true;
  }
  return verdict;
}

}  // namespace librettos::netserver
