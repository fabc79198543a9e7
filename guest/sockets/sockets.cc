#include "guest/sockets/sockets.h"

#include <cstring>

#include "guest/net/stack.h"
#include "guest/sockets/datagram_socket.h"
#include "guest/sockets/stream_socket.h"
#include "guest/sockets/table.h"

namespace librettos::sockets {

Address Address::Any(Family family, uint16_t port) {
  Address address;
  address.family = family;
  address.port = port;
  return address;
}

Result<Address> Address::Parse(std::string_view text, uint16_t port) {
  ip_addr_t parsed;
  if (!guest::ParseAddress(text, &parsed)) return Error::kInvalidArgument;
  return FromLwip(parsed, port);
}

Result<int> Socket(Family family, Type type) {
  if (!guest::Stack::instance()) return Error::kUnavailable;
  SocketBase* socket = nullptr;
  if (type == Type::kStream)
    socket = StreamSocket::Create(family);
  else
    socket = DatagramSocket::Create(family);
  if (!socket) return Error::kExhausted;
  int number = Insert(socket);
  if (number >= 0) return number;
  socket->Close();
  return Error::kExhausted;
}

Status Bind(int socket, const Address& address) {
  SocketBase* base = Lookup(socket);
  return base ? base->Bind(address) : Error::kNotFound;
}

Status Listen(int socket, int backlog) {
  SocketBase* base = Lookup(socket);
  return base ? base->Listen(backlog) : Error::kNotFound;
}

Result<int> Accept(int socket, Address* peer) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  if (!base->listening()) return Error::kInvalidArgument;
  SocketBase* child = base->Accept(peer);
  if (!child) return Error::kAgain;
  int number = Insert(child);
  if (number >= 0) return number;
  child->Close();
  return Error::kExhausted;
}

Status Connect(int socket, const Address& peer) {
  SocketBase* base = Lookup(socket);
  return base ? base->Connect(peer) : Error::kNotFound;
}

Result<size_t> Send(int socket, std::span<const std::byte> data) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Send(data);
}

Result<size_t> Receive(int socket, std::span<std::byte> out) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Receive(out);
}

Result<size_t> SendTo(int socket, std::span<const std::byte> data, const Address& peer) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->SendTo(data, peer);
}

Result<size_t> ReceiveFrom(int socket, std::span<std::byte> out, Address* peer) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->ReceiveFrom(out, peer);
}

Status ShutdownWrite(int socket) {
  SocketBase* base = Lookup(socket);
  return base ? base->ShutdownWrite() : Error::kNotFound;
}

void Close(int socket) {
  SocketBase* base = Lookup(socket);
  if (!base) return;
  Erase(socket);
  base->Close();
}

Result<Address> LocalAddress(int socket) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Local();
}

Result<Address> PeerAddress(int socket) {
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Peer();
}

Status SetOption(int socket, Option option, bool on) {
  SocketBase* base = Lookup(socket);
  return base ? base->SetOption(option, on) : Error::kNotFound;
}

Error SocketError(int socket) {
  SocketBase* base = Lookup(socket);
  return base ? base->TakeError() : Error::kNotFound;
}

size_t Poll(std::span<PollItem> items, Nanoseconds deadline) {
  guest::Stack* stack = guest::Stack::instance();
  if (!stack) return 0;
  stack->Turn(0);
  for (;;) {
    size_t count = 0;
    for (PollItem& item : items) {
      SocketBase* base = Lookup(item.socket);
      item.returned = base ? base->Readiness() & (item.events | kErr | kHup) : uint32_t{kErr};
      count += item.returned != 0;
    }
    if (count > 0) return count;
    if (Now() >= deadline || Stopping()) return 0;
    stack->Turn(deadline);
  }
}

bool Stopping() {
  guest::Stack* stack = guest::Stack::instance();
  return !stack || stack->platform().loop().stopping();
}

Status Start(Platform& platform) { return guest::Stack::Start(platform); }

}  // namespace librettos::sockets
