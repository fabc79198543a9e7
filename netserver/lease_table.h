// Which guest may use which port of the shared addresses.
//
// Any forwarding loop looks up owners; requests and releases one at a time (Sharing::leases), all else while
// the loops are stopped. A table entry per (protocol, port): looking up the owner of a port is one load. A
// lease is (guest, protocol, port, sequence, token); guests declare theirs to the next server, which verifies
// the token. The higher sequence wins. Holders are named by slot (Guest::slot), tokens by domain id.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "guest/channel/control.h"
#include "guest/channel/server_end.h"
#include "netserver/guest_table.h"
#include "netserver/siphash.h"

namespace librettos::netserver {

inline constexpr uint16_t kFirstEphemeralPort = 49152;  // RFC 6335 section 6; up to 65535.

enum class Reclaim : uint8_t {
  kTaken,      // The guest holds it.
  kForged,     // The token is not one of ours.
  kStale,      // Somebody else has a younger one.
  kExhausted,  // Over the quota.
};

class LeaseTable {
 public:
  void SetKey(const SipKey& key) { key_ = key; }
  // Sequences of new leases start above all of earlier epochs. Forgets all leases.
  void Start(uint32_t epoch);

  // Answers a lease request; `reply` becomes the message to send. Idempotent by (guest, protocol, port), and
  // for port 0 by (guest, protocol, id) as long as that is one of the guest's last kMaxLeases ids. `random`
  // chooses the ephemeral port (RFC 6056).
  void Request(Guest& guest, const channel::ControlMessage& request, uint64_t random,
               channel::ControlMessage& reply);
  // Unknown, foreign and older leases are left alone.
  void Release(Guest& guest, uint8_t protocol, uint16_t port, uint64_t sequence);
  Reclaim Declare(Guest& guest, const channel::Lease& lease, GuestTable& guests);
  void ReleaseAll(Guest& guest);

  // Slot of the holder, or -1.
  int Owner(uint8_t protocol, uint16_t port) const {
    const Protocol* table = Find(protocol);
    return table ? int{table->owner[port].load(std::memory_order_relaxed)} - 1 : -1;
  }
  // Of the lease of a port: when it was granted, among all; 0: there is none.
  uint64_t Sequence(uint8_t protocol, uint16_t port) const {
    const Protocol* table = Find(protocol);
    return table ? table->sequence[port] : 0;
  }
  uint64_t last_sequence() const { return last_sequence_; }
  uint64_t Token(DomainId guest, uint8_t protocol, uint16_t port, uint64_t sequence) const;

 private:
  struct Protocol {
    // Slot + 1; 0: free. Relaxed: who may use a port learned so through its ring, which orders it.
    std::array<std::atomic<uint16_t>, 65536> owner{};
    std::array<uint32_t, 65536> id{};  // Of the request that chose an ephemeral port.
    std::array<uint64_t, 65536> sequence{};
  };
  const Protocol* Find(uint8_t protocol) const;
  Protocol* Find(uint8_t protocol) { return const_cast<Protocol*>(std::as_const(*this).Find(protocol)); }
  uint16_t ChooseEphemeral(const Protocol& table, uint64_t random) const;

  Protocol tcp_, udp_;
  SipKey key_{};
  uint64_t last_sequence_ = 0;
};

}  // namespace librettos::netserver
