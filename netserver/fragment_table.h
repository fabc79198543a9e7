// Which guest the fragments of a datagram belong to: only the first one names the port.
//
// Loop thread only. Bounded: kDatagrams entries in sets, the oldest of a full set makes room; kHeld fragments
// that came before their first one are kept for it, the next ones are refused. Entries end after kTimeout
// (RFC 8200 section 4.5 gives reassembly 60 s, Linux 30 s).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "guest/platform/platform.h"
#include "netserver/packet.h"

namespace librettos::netserver {

struct FragmentKey {
  Address source, destination;
  uint32_t id = 0;
  uint8_t protocol = 0;  // IPv4 (RFC 791 section 3.2); 0 for IPv6, which has one space for all (RFC 8200).

  static FragmentKey Of(const Packet& packet) {
    return {packet.source, packet.destination, packet.fragment_id,
            packet.network == Network::kIpv4 ? packet.protocol : uint8_t{0}};
  }
  bool operator==(const FragmentKey&) const = default;
};

class FragmentTable {
 public:
  static constexpr Nanoseconds kTimeout = 30'000'000'000;
  static constexpr uint32_t kDatagrams = 4096;
  static constexpr uint32_t kHeld = 32;
  static constexpr uint32_t kHeldPerDatagram = 8;
  static constexpr uint32_t kHeldBytes = 9216;  // A frame of 9000 bytes of MTU.

  // The first fragment was seen, and goes to (or comes from) the guest in `slot`.
  void Learn(const FragmentKey& key, uint32_t slot, Nanoseconds now);
  // Slot of the guest, or -1: the first one was not seen in time.
  int Find(const FragmentKey& key, Nanoseconds now) const;
  void Forget(uint32_t slot);  // The guest is gone.

  // Keeps a copy for Take. `last_lease`: the youngest lease's sequence. False: no room, or too long.
  bool Hold(const FragmentKey& key, std::span<const std::byte> frame, const Offload& offload,
            uint64_t last_lease, Nanoseconds now);
  // Takes one held fragment of `key`, oldest first, for the holder of lease `lease`; valid until the next
  // Hold. Those that came before the lease was granted are none of its. Empty: none.
  std::span<const std::byte> Take(const FragmentKey& key, uint64_t lease, Offload& offload);
  // Gives up those whose first one did not come in time; returns how many.
  uint32_t Expire(Nanoseconds now);

 private:
  static constexpr uint32_t kWays = 8;
  struct Entry {
    FragmentKey key;
    Nanoseconds until = 0;  // 0: free.
    uint32_t slot = 0;
  };
  struct Held {
    FragmentKey key;
    Nanoseconds until = 0;  // 0: free.
    uint64_t order = 0;
    uint64_t last_lease = 0;
    uint32_t length = 0;
    Offload offload;
    std::byte bytes[kHeldBytes];
  };
  static uint32_t SetOf(const FragmentKey& key);

  std::array<Entry, kDatagrams> entries_{};
  std::array<Held, kHeld> held_{};
  uint32_t held_count_ = 0;
  uint64_t order_ = 0;
};

}  // namespace librettos::netserver
