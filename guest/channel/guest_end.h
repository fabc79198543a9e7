// The guest's end of a channel: owns the memory, offers it to servers, declares mode and leases in it.
//
// Several servers can be connected at once (the active one, a standby, an upgrade's successor). All have the
// memory mapped; only the active one touches the rings. The guest signals the server that last proved to be
// active (header word `server`, checked against the servers it was told of), and all of them while that is
// unknown.
//
// What servers write in the memory can be wrong by malice or by mistake; an end of a ring that found it so is
// of no use any more, and what the guest says of itself there is no server's to write. Renew then gives all
// servers a fresh channel, in memory that no server has seen.
#pragma once

#include "guest/channel/layout.h"
#include "guest/channel/ring.h"
#include "guest/platform/platform.h"

namespace librettos::channel {

class GuestEndObserver {
 public:
  virtual void OnChannelEvent() = 0;  // A server signalled: frames, room, or a new server.
  virtual void OnServerChanged(DomainId server, uint32_t epoch) = 0;

 protected:
  ~GuestEndObserver() = default;
};

class GuestEnd {
 public:
  static constexpr Nanoseconds kRenewPeriod = 1'000'000'000;
  static constexpr Nanoseconds kMaxRenewPeriod = 64 * kRenewPeriod;

  // Allocates the region. `base` is the vif's directory, "/local/domain/<self>/device/vif/0". From then on
  // follows the keys below `base`/backend/ and connects each server named there (docs/protocols.md,
  // Connection).
  static Result<GuestEnd*> Create(Platform& platform, std::string_view base, const Geometry& geometry,
                                  GuestEndObserver* observer);
  virtual ~GuestEnd() = default;

  virtual const Geometry& geometry() const = 0;
  virtual Producer<>& transmit(uint32_t pair) = 0;
  virtual Consumer<>& receive(uint32_t pair) = 0;
  virtual void Signal(uint32_t pair) = 0;      // After Publish() or Commit() returned true.
  virtual DomainId active_server() const = 0;  // 0: none seen yet.
  virtual uint32_t server_epoch() const = 0;
  // Whether the header still says what the guest wrote there, and the leases did when the active server last
  // changed. If not, no further server would take the channel up as it is.
  virtual bool Intact() const = 0;
  // Replaces the memory by new, with empty rings, and offers it to all servers; mode and leases are kept, and
  // what was in the rings is lost. Servers connect and activate anew; OnServerChanged tells.
  // kAgain: too soon. Servers can keep the old memory mapped, so it is replaced at most once in kRenewPeriod,
  // doubled each time up to kMaxRenewPeriod, but at once after a server was forgotten (which the daemon alone
  // decides). kExhausted: no memory; nothing was changed.
  virtual Status Renew() = 0;

  virtual void DeclareMode(DeclaredMode mode) = 0;
  // kExhausted after kMaxLeases.
  virtual Status DeclareLease(uint8_t protocol, uint16_t port, uint64_t sequence, uint64_t token) = 0;
  virtual void WithdrawLease(uint8_t protocol, uint16_t port) = 0;
};

}  // namespace librettos::channel
