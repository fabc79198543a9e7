#include "netserver/announcer.h"

#include <algorithm>
#include <cstring>

#include "netserver/responder.h"

namespace librettos::netserver {
namespace {

constexpr uint32_t kArpBytes = 14 + 28;

uint32_t GratuitousArp(uint32_t address, const MacAddress& mac, std::byte* frame) {
  constexpr uint8_t kFixed[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, kArpRequest};
  memset(frame, 0, kArpBytes);
  memset(frame, 0xff, 6);
  memcpy(frame + 6, mac.data(), 6);
  memcpy(frame + 12, kFixed, sizeof(kFixed));
  memcpy(frame + 22, mac.data(), 6);
  for (int i = 0; i < 4; ++i) {
    frame[28 + i] = frame[38 + i] = static_cast<std::byte>(address >> (24 - 8 * i));
  }
  return kArpBytes;
}

}  // namespace

uint32_t Announcement(const Address& address, const MacAddress& mac,
                      std::span<std::byte, kMaxAnnouncementBytes> frame) {
  if (address.v4()) return GratuitousArp(static_cast<uint32_t>(address.low), mac, frame.data());
  // What the server would answer to somebody without an address: sent to all nodes, overriding.
  Packet solicitation;
  solicitation.network = Network::kIpv6;
  solicitation.has_icmp = true;
  solicitation.icmp_type = kNeighbourSolicitation;
  solicitation.nd_target = address;
  return Respond(solicitation, mac, frame, 0);
}

void Announcer::Start(const AddressList& shared, const MacAddress& mac) {
  shared_ = shared;
  mac_ = mac;
  group_ = item_ = 0;
  pending_ = true;
}

void Announcer::Include(const Guest& guest) {
  const uint32_t group = guest.slot + 1;
  if (pending_ && group_ < group) return;  // It is still to come.
  group_ = group;
  item_ = 0;
  pending_ = true;
}

bool Announcer::Next(Address& address, MacAddress& mac) const {
  if (group_ == 0) {
    if (item_ >= shared_.count) return false;
    address = shared_.items[item_];
    mac = mac_;
    return true;
  }
  const Guest* guest = guests_.at(group_ - 1);
  if (!guest || !guest->active || guest->shared() || guest->direct()) return false;
  const AddressList& own = guest->identity.addresses;
  if (item_ > own.count) return false;
  address = item_ < own.count ? own.items[item_] : guest->link_local;
  mac = guest->identity.mac;
  return true;
}

bool Announcer::Turn(Nic& nic) {
  for (uint32_t sent = 0; sent < kBatch;) {
    Address address;
    MacAddress mac;
    if (!Next(address, mac)) {
      item_ = 0;
      if (group_++ < guests_.limit()) continue;
      pending_ = false;
      return sent > 0;
    }
    std::byte frame[kMaxAnnouncementBytes];
    const Part part{frame, Announcement(address, mac, frame)};
    const OutFrame out{.parts = {&part, 1}, .length = part.length, .offload = {}};
    if (nic.Transmit({&out, 1}) == 0) return sent > 0;  // Full: the same one next time.
    ++sent;
    ++item_;
  }
  return true;
}

}  // namespace librettos::netserver
