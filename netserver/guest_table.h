// The guests of a server, found by domain id, MAC or address.
//
// Loop thread only; lookups by all forwarding loops, which are stopped while anything is added, changed or
// removed. At most kMaxGuests; lookups are constant time and touch one or two cache lines. Adding, changing
// and removing rebuilds the index, which is control-path work. Identities come from the daemon, not
// from guests.
#pragma once

#include <array>
#include <cstdint>

#include "guest/channel/server_end.h"
#include "guest/platform/platform.h"
#include "guest/platform/spin_lock.h"
#include "guest/platform/statistics.h"
#include "netserver/address.h"
#include "netserver/allowance.h"
#include "netserver/counters.h"

namespace librettos::netserver {

inline constexpr uint32_t kMaxGuests = 512;

// What the daemon says of a guest: "<mac> <shared or dedicated> <addresses>", docs/protocols.md.
struct GuestIdentity {
  MacAddress mac{};
  bool shared = false;
  AddressList addresses{};

  static bool Parse(std::string_view text, GuestIdentity& out);
};

struct Guest;

// Where a queue pair stands in the forwarder's scheduling.
enum class PairState : uint8_t {
  kDetached,        // Not forwarded.
  kHot,             // Polled.
  kArmed,           // Silent: its next frame rings.
  kWaitingNic,      // Its oldest frame goes to the wire, and the NIC is full.
  kWaitingRoom,     // Its oldest entry is a request, and there is no room for the reply.
  kWaitingReclaim,  // Its oldest entry is a lease request, and former holders come first.
  kResting,         // Its guest wastes the server's time (allowance.h).
};

// The pair's loop alone uses it and its transmit ring. All loops put into its receive ring.
struct Pair {
  Guest* guest = nullptr;
  uint32_t index = 0;
  uint32_t loop = 0;  // Set while the loops are stopped.
  PairState state = PairState::kDetached;
  bool hot = false;             // In the forwarder's list of polled pairs,
  bool waiting = false;         // and in that of pairs that wait.
  uint32_t replay_entries = 0;  // Still to come of what was found at activation.
  Nanoseconds busy_at = 0;      // When something was last found in its transmit ring.
  SpinLock receive_lock;        // Of its receive ring, where there are several loops.
};

struct Guest {
  DomainId id = 0;
  uint32_t slot = 0;
  GuestIdentity identity;
  Address link_local;
  channel::ServerEnd* end = nullptr;  // Owned by the server.
  // Its rings may be touched. Any loop may end that, by Delivery::Close.
  std::atomic<bool> active{false};
  // Why, until the channel is closed for it.
  std::atomic<channel::Violation> cut_off{channel::Violation::kNone};
  std::atomic<channel::DeclaredMode> mode{channel::DeclaredMode::kServer};
  uint32_t queue_pairs = 0;  // While active.
  uint32_t lease_count = 0;  // This and the next one: under Sharing::leases.
  // Ephemeral ports leased to it, by the request's id, so that a repeated request is found without a search.
  // A hint only: the lease table says whether it still holds.
  std::array<uint16_t, channel::kMaxLeases> asked{};
  StatisticsRow* row = nullptr;
  SpinLock allowance_lock;  // Where there are several loops.
  Allowance allowance;
  std::atomic<Nanoseconds> rest_until{0};  // Of its pairs in kResting.
  uint32_t answered = 0;  // Doorbells that there was a reason for, and that were not heard yet.
  std::array<Pair, channel::kMaxQueuePairs> pairs;

  bool shared() const { return identity.shared; }
  // Relaxed: that and `active` tell what to do with a frame, and the rings need no order of them.
  bool direct() const { return mode.load(std::memory_order_relaxed) == channel::DeclaredMode::kDirect; }
  bool Owns(const Address& address) const {
    return identity.addresses.Contains(address) || address == link_local;
  }
};

// Set before there is a second loop that counts on the same rows, and never taken back.
inline constinit std::atomic<bool> rows_are_shared{false};

inline void Count(StatisticsRow* row, Counter counter, uint64_t by = 1) {
  auto& value = row->values[static_cast<size_t>(counter)];
  // Relaxed: a statistic; no other memory depends on it.
  if (rows_are_shared.load(std::memory_order_relaxed)) {
    value.fetch_add(by, std::memory_order_relaxed);
  } else {
    value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
}
inline void Set(StatisticsRow* row, Counter counter, uint64_t value) {
  row->values[static_cast<size_t>(counter)].store(value, std::memory_order_relaxed);
}

class GuestTable {
 public:
  GuestTable();
  ~GuestTable();
  GuestTable(const GuestTable&) = delete;

  // kExhausted: the table or memory is full. kInUse: the id is there, or another guest has its MAC or
  // address.
  Result<Guest*> Add(DomainId id, const GuestIdentity& identity);
  // Changes the identity; kInUse as above, and nothing changed.
  Status Change(Guest* guest, const GuestIdentity& identity);
  void Remove(Guest* guest);  // Deletes it.

  Guest* Find(DomainId id) const;                    // Control path: a scan.
  Guest* FindMac(const MacAddress& mac) const;       // Dedicated guests only.
  Guest* FindAddress(const Address& address) const;  // Dedicated guests only, link-local included.
  Guest* at(uint32_t slot) const { return guests_[slot]; }
  uint32_t limit() const { return limit_; }  // Slots in use are below.
  uint32_t count() const { return count_; }

 private:
  struct Entry {
    Address key;
    Guest* guest = nullptr;
  };
  static constexpr uint32_t kIndexSize = 16384;  // At most 512 * (1 MAC + 1 link-local + 16): load 9/16.

  static Address MacKey(const MacAddress& mac) { return {~uint64_t{0}, ToNumber(mac)}; }
  Guest* Lookup(const Address& key) const;
  void Insert(const Address& key, Guest* guest);
  void Rebuild();
  bool Conflicts(const GuestIdentity& identity, const Guest* except) const;

  std::array<Guest*, kMaxGuests> guests_{};
  std::array<Entry, kIndexSize> index_;
  uint32_t limit_ = 0;
  uint32_t count_ = 0;
};

}  // namespace librettos::netserver
