// What all sockets have in common: a number, a readiness, and those who wait for it.
#pragma once

#include <cstdint>

#include "guest/net/stack.h"
#include "guest/sockets/sockets.h"
#include "lwip/ip_addr.h"

namespace librettos::sockets {

struct Watch;

// lwIP's form of an address, and back. The interface is the zone of link-local addresses.
ip_addr_t ToLwip(const Address& address);
Address FromLwip(const ip_addr_t& address, uint16_t port);
Status FromErr(err_t error);

class SocketBase {
 public:
  SocketBase(Family family, Type type) : family_(family), type_(type) {}
  SocketBase(const SocketBase&) = delete;

  Family family() const { return family_; }
  Type type() const { return type_; }
  virtual uint32_t Readiness() const = 0;
  virtual Status Bind(const Address& address) = 0;
  virtual Status Listen(int) { return Error::kUnsupported; }
  virtual SocketBase* Accept(Address*) { return nullptr; }
  virtual Status Connect(const Address& peer) = 0;
  virtual Result<size_t> Send(std::span<const std::byte> data) = 0;
  virtual Result<size_t> Receive(std::span<std::byte> out) = 0;
  virtual Result<size_t> SendTo(std::span<const std::byte>, const Address&) { return Error::kUnsupported; }
  virtual Result<size_t> ReceiveFrom(std::span<std::byte>, Address*) { return Error::kUnsupported; }
  virtual Status ShutdownWrite() = 0;
  virtual Result<Address> Local() const = 0;
  virtual Result<Address> Peer() const = 0;
  virtual Status SetOption(Option option, bool on) = 0;
  virtual bool listening() const { return false; }
  // The program is done with it; it deletes itself, perhaps later.
  virtual void Close() = 0;
  Error TakeError() {
    Error error = error_;
    error_ = Error::kOk;
    return error;
  }

  Watch* watches = nullptr;  // Of epolls; see epoll.h.

 protected:
  virtual ~SocketBase();
  // Something of `events` became true (again).
  void Notify(uint32_t events);
  // Leases `*port` (0: any) where addresses are shared; may turn the loop for 2 s.
  Status Lease(uint8_t protocol, uint16_t* port);
  void ReleaseLease();

  const Family family_;
  const Type type_;
  Error error_ = Error::kOk;
  uint8_t leased_protocol_ = 0;
  uint16_t leased_port_ = 0;  // 0: none.
};

}  // namespace librettos::sockets
