#include "guest/sockets/socket.h"

#include <cstring>

#include "guest/sockets/call.h"
#include "guest/sockets/epoll.h"
#include "lwip/err.h"

namespace librettos::sockets {

namespace {
constexpr Nanoseconds kLeaseTimeout = 2'000'000'000;
}

ip_addr_t ToLwip(const Address& address) {
  ip_addr_t out = {};
  if (address.family == Family::kIpv4) {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V4);
    std::memcpy(&ip_2_ip4(&out)->addr, address.bytes, 4);
  } else {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V6);
    std::memcpy(ip_2_ip6(&out)->addr, address.bytes, 16);
    guest::Stack* stack = guest::Stack::instance();
    if (stack && ip6_addr_lacks_zone(ip_2_ip6(&out), IP6_UNKNOWN)) {
      ip6_addr_assign_zone(ip_2_ip6(&out), IP6_UNKNOWN, stack->interface().lwip());
    }
  }
  return out;
}

Address FromLwip(const ip_addr_t& address, uint16_t port) {
  Address out;
  out.port = port;
  if (IP_IS_V6_VAL(address)) {
    out.family = Family::kIpv6;
    std::memcpy(out.bytes, ip_2_ip6(&address)->addr, 16);
  } else {
    out.family = Family::kIpv4;
    std::memcpy(out.bytes, &ip_2_ip4(&address)->addr, 4);
  }
  return out;
}

Status FromErr(err_t error) {
  switch (error) {
    case ERR_OK:
      return {};
    case ERR_USE:
      return Error::kInUse;
    case ERR_MEM:
    case ERR_BUF:
      return Error::kExhausted;
    case ERR_RTE:
    case ERR_IF:
      return Error::kUnavailable;
    default:
      return Error::kInvalidArgument;
  }
}

SocketBase::~SocketBase() {
  ReleaseLease();
  while (watches) Epoll_Drop(watches);
}

void SocketBase::Notify(uint32_t events) {
  if (guest::Stack* stack = guest::Stack::instance()) stack->sharing().News();
  for (Watch* watch = watches; watch; watch = watch->next_of_socket) Epoll_Notify(watch, events);
}

Status SocketBase::Lease(uint8_t protocol, uint16_t* port) {
  guest::Stack* stack = guest::Stack::instance();
  if (!stack || !stack->shared()) return {};
  auto request = stack->leases().Request(protocol, *port);
  if (!request.ok()) return request.error();
  Nanoseconds deadline = Now() + kLeaseTimeout;
  for (;;) {
    auto answer = stack->leases().Answer(*request);
    if (answer.ok()) {
      ReleaseLease();
      leased_protocol_ = protocol;
      *port = leased_port_ = *answer;
      return {};
    }
    if (answer.error() != Error::kAgain) return answer.error();
    if (Now() >= deadline || stack->platform().loop().stopping()) break;
    AwaitStack(*stack, deadline, Effect::kChanges);
  }
  stack->leases().Cancel(*request);
  return Error::kTimeout;
}

void SocketBase::ReleaseLease() {
  guest::Stack* stack = guest::Stack::instance();
  if (leased_port_ && stack) stack->leases().Release(leased_protocol_, leased_port_);
  leased_port_ = 0;
}

}  // namespace librettos::sockets
