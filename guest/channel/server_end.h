// The server's end of a channel: maps a guest's memory, and once activated takes up the rings where they
// stand.
//
// Life: Create (follows the guest's keys, maps, binds) -> connected() -> Activate(epoch) -> forwarding ->
// Deactivate (hand-over) or Closed (violation, guest gone). All content is hostile.
#pragma once

#include "guest/channel/layout.h"
#include "guest/channel/ring.h"
#include "guest/platform/platform.h"

namespace librettos::channel {

struct Lease {
  uint8_t protocol;
  uint16_t port;
  uint64_t sequence;
  uint64_t token;
};

class ServerEnd;

class ServerEndObserver {
 public:
  virtual void OnConnected(ServerEnd* end) = 0;     // Mapped and bound; can be activated.
  virtual void OnChannelEvent(ServerEnd* end) = 0;  // The guest signalled.
  // It cannot be connected or was cut off, by what the guest offers or holds: see refused().
  virtual void OnRefused(ServerEnd*) {}
  // The rings are left: when this returns, nobody on another CPU may use them any more.
  virtual void OnLeaving(ServerEnd*) {}

 protected:
  ~ServerEndObserver() = default;
};

class ServerEnd {
 public:
  // `guest` and its vif directory "/local/domain/<guest>/device/vif/0".
  static Result<ServerEnd*> Create(Platform& platform, DomainId guest, std::string_view guest_base,
                                   ServerEndObserver* observer);
  virtual ~ServerEnd() = default;

  virtual DomainId guest() const = 0;
  virtual bool connected() const = 0;
  // Nothing is under way: it waits for the guest to offer something else, or was cut off.
  virtual bool refused() const = 0;
  virtual bool active() const = 0;
  virtual const Geometry& geometry() const = 0;
  // Attaches to the rings and marks this server as the one that forwards. Signals the guest if anything
  // stands in its rings; if not, the caller does soon, by Signal(0). Rings that cannot be taken up are a
  // predecessor's doing or the guest's: they end the connection with the violation as the published reason,
  // until the guest offers other memory.
  virtual Violation Activate(uint32_t epoch) = 0;
  virtual void Deactivate() = 0;
  virtual Consumer<>& transmit(uint32_t pair) = 0;  // What the guest sends.
  virtual Producer<>& receive(uint32_t pair) = 0;   // What the guest gets.
  virtual void Signal(uint32_t pair) = 0;
  // Off: the guest's signals are not even looked at, and are lost; its rings must be.
  virtual void ListenToSignals(bool on) = 0;
  virtual DeclaredMode declared_mode() const = 0;
  // Copies the guest's declared leases (unverified); returns how many, at most out.size().
  virtual size_t DeclaredLeases(std::span<Lease> out) const = 0;
  // Cuts the guest off: unmaps nothing until deleted, but never touches the rings again. Published with the
  // reason.
  virtual void Close(Violation violation) = 0;
  virtual Violation violation() const = 0;
};

}  // namespace librettos::channel
