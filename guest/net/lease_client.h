// Port leases of a guest that shares its addresses (docs/protocols.md, Leases): asks the server, declares
// what it got in the channel's memory, gives it back. A lease is counted: it is released when nobody uses its
// port any more. Requests are repeated until they are answered, and at once to a new server.
#pragma once

#include <cstdint>

#include "guest/channel/guest_end.h"
#include "guest/net/interface.h"

namespace librettos::guest {

class LeaseClient {
 public:
  static constexpr Nanoseconds kRepeat = 250'000'000;

  LeaseClient(channel::GuestEnd& end, Interface& interface) : end_(end), interface_(interface) {}
  LeaseClient(const LeaseClient&) = delete;

  // Asks for `port` (0: any). The number names the request; kExhausted: too many leases.
  Result<uint32_t> Request(uint8_t protocol, uint16_t port);
  // kAgain: not decided. The lease (and its port) if granted, which the caller then holds. After any other
  // answer than kAgain the request is over.
  Result<uint16_t> Answer(uint32_t request);
  void Cancel(uint32_t request);
  // One more, or one less, user of a port that is leased. No effect on ports that are not.
  void Retain(uint8_t protocol, uint16_t port);
  void Release(uint8_t protocol, uint16_t port);

  void OnReply(const channel::ControlMessage& message);
  void OnServerChanged();
  void Tick(Nanoseconds now);
  Nanoseconds next() const;  // UINT64_MAX: nothing to repeat.

 private:
  enum class State : uint8_t { kFree, kAsked, kRefused, kHeld, kReleasing };
  struct Lease {
    State state = State::kFree;
    uint8_t protocol = 0;
    uint16_t port = 0;
    Error error = Error::kOk;
    uint32_t id = 0;
    uint32_t users = 0;
    uint64_t sequence = 0, token = 0;
    Nanoseconds sent_at = 0;
  };
  Lease* Held(uint8_t protocol, uint16_t port);
  Lease* ById(uint32_t id);
  bool Send(Lease& lease, Nanoseconds now);
  void Count();

  channel::GuestEnd& end_;
  Interface& interface_;
  uint32_t next_id_ = 1;
  size_t asked_ = 0;  // In state kAsked or kReleasing.
  Lease leases_[channel::kMaxLeases];
};

}  // namespace librettos::guest
