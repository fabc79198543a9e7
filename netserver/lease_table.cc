#include "netserver/lease_table.h"

#include <utility>

#include "netserver/packet.h"

namespace librettos::netserver {

using channel::ControlMessage;
using channel::LeaseStatus;

void LeaseTable::Start(uint32_t epoch) {
  last_sequence_ = uint64_t{epoch} << 32;
  for (Protocol* table : {&tcp_, &udp_}) {
    for (auto& owner : table->owner) owner.store(0, std::memory_order_relaxed);
    table->id.fill(0);
    table->sequence.fill(0);
  }
}

const LeaseTable::Protocol* LeaseTable::Find(uint8_t protocol) const {
  return protocol == kTcp ? &tcp_ : protocol == kUdp ? &udp_ : nullptr;
}

uint64_t LeaseTable::Token(DomainId guest, uint8_t protocol, uint16_t port, uint64_t sequence) const {
  uint8_t bytes[15];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(guest >> (8 * i));
  bytes[4] = protocol;
  bytes[5] = static_cast<uint8_t>(port);
  bytes[6] = static_cast<uint8_t>(port >> 8);
  for (int i = 0; i < 8; ++i) bytes[7 + i] = static_cast<uint8_t>(sequence >> (8 * i));
  return SipHash24(key_, bytes);
}

uint16_t LeaseTable::ChooseEphemeral(const Protocol& table, uint64_t random) const {
  constexpr uint32_t kCount = 65536 - kFirstEphemeralPort;
  for (uint32_t i = 0; i < kCount; ++i) {
    auto port = static_cast<uint16_t>(kFirstEphemeralPort + (random + i) % kCount);
    if (!table.owner[port]) return port;
  }
  return 0;
}

void LeaseTable::Request(Guest& guest, const ControlMessage& request, uint64_t random,
                         ControlMessage& reply) {
  reply = {};
  reply.type = static_cast<uint16_t>(channel::ControlType::kLeaseReply);
  reply.id = request.id;
  reply.protocol = request.protocol;
  reply.port = request.port;
  auto refuse = [&reply](LeaseStatus status) { reply.status = static_cast<uint16_t>(status); };
  Protocol* table = Find(request.protocol);
  if (!table) return refuse(LeaseStatus::kBadRequest);
  if (!guest.shared()) return refuse(LeaseStatus::kNotShared);
  auto holder = static_cast<uint16_t>(guest.slot + 1);
  uint16_t port = request.port;
  uint16_t& asked = guest.asked[request.id % guest.asked.size()];
  if (!port && request.id && table->owner[asked] == holder && table->id[asked] == request.id) port = asked;
  if (port && table->owner[port] && table->owner[port] != holder) return refuse(LeaseStatus::kInUse);
  if (!port || !table->owner[port]) {
    if (guest.lease_count >= channel::kMaxLeases) return refuse(LeaseStatus::kExhausted);
    bool chosen = !port;
    if (chosen) port = ChooseEphemeral(*table, random);
    if (!port) return refuse(LeaseStatus::kExhausted);
    table->owner[port] = holder;
    table->id[port] = chosen ? request.id : 0;
    if (chosen) asked = port;
    table->sequence[port] = ++last_sequence_;
    ++guest.lease_count;
  }
  reply.port = port;
  reply.sequence = table->sequence[port];
  reply.token = Token(guest.id, request.protocol, port, reply.sequence);
}

void LeaseTable::Release(Guest& guest, uint8_t protocol, uint16_t port, uint64_t sequence) {
  Protocol* table = Find(protocol);
  if (!table || table->owner[port] != guest.slot + 1) return;
  // A release of a lease that ended before this one was granted.
  if (sequence && sequence != table->sequence[port]) return;
  table->owner[port] = 0;
  table->id[port] = 0;
  table->sequence[port] = 0;
  --guest.lease_count;
}

Reclaim LeaseTable::Declare(Guest& guest, const channel::Lease& lease, GuestTable& guests) {
  Protocol* table = Find(lease.protocol);
  if (!table || !lease.port || !guest.shared() ||
      lease.token != Token(guest.id, lease.protocol, lease.port, lease.sequence)) {
    return Reclaim::kForged;
  }
  std::atomic<uint16_t>& owner = table->owner[lease.port];
  uint64_t& sequence = table->sequence[lease.port];
  auto holder = static_cast<uint16_t>(guest.slot + 1);
  if (owner && sequence > lease.sequence) return Reclaim::kStale;
  if (owner != holder) {
    if (guest.lease_count >= channel::kMaxLeases) return Reclaim::kExhausted;
    if (owner) --guests.at(owner - 1u)->lease_count;
    ++guest.lease_count;
  }
  owner = holder;
  sequence = lease.sequence;
  table->id[lease.port] = 0;
  // Never grant a sequence again, should this epoch's own lease come back to us.
  if (sequence > last_sequence_) last_sequence_ = sequence;
  return Reclaim::kTaken;
}

void LeaseTable::ReleaseAll(Guest& guest) {
  for (Protocol* table : {&tcp_, &udp_}) {
    for (uint32_t port = 0; port < 65536 && guest.lease_count; ++port) {
      if (table->owner[port] != guest.slot + 1) continue;
      table->owner[port] = 0;
      table->id[port] = 0;
      table->sequence[port] = 0;
      --guest.lease_count;
    }
  }
  guest.lease_count = 0;
}

}  // namespace librettos::netserver
