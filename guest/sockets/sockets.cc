#include "guest/sockets/sockets.h"

#include <atomic>
#include <cstring>

#include "guest/sockets/call.h"
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
  Call call;
  if (!call.stack()) return Error::kUnavailable;
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
  Call call;
  SocketBase* base = Lookup(socket);
  return base ? base->Bind(address) : Error::kNotFound;
}

Status Listen(int socket, int backlog) {
  Call call;
  SocketBase* base = Lookup(socket);
  return base ? base->Listen(backlog) : Error::kNotFound;
}

Result<int> Accept(int socket, Address* peer) {
  Call call;
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
  Call call;
  SocketBase* base = Lookup(socket);
  return base ? base->Connect(peer) : Error::kNotFound;
}

Result<size_t> Send(int socket, std::span<const std::byte> data) {
  Call call;
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Send(data);
}

Result<size_t> Receive(int socket, std::span<std::byte> out) {
  Call call;
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Receive(out);
}

Result<size_t> SendTo(int socket, std::span<const std::byte> data, const Address& peer) {
  Call call;
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->SendTo(data, peer);
}

Result<size_t> ReceiveFrom(int socket, std::span<std::byte> out, Address* peer) {
  Call call;
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->ReceiveFrom(out, peer);
}

Status ShutdownWrite(int socket) {
  Call call;
  SocketBase* base = Lookup(socket);
  return base ? base->ShutdownWrite() : Error::kNotFound;
}

void Close(int socket) {
  Call call;
  SocketBase* base = Lookup(socket);
  if (!base) return;
  Erase(socket);
  base->Close();
}

Result<Address> LocalAddress(int socket) {
  Call call(Effect::kNone);
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Local();
}

Result<Address> PeerAddress(int socket) {
  Call call(Effect::kNone);
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  return base->Peer();
}

Status SetOption(int socket, Option option, bool on) {
  Call call;
  SocketBase* base = Lookup(socket);
  return base ? base->SetOption(option, on) : Error::kNotFound;
}

Error SocketError(int socket) {
  Call call(Effect::kNone);
  SocketBase* base = Lookup(socket);
  return base ? base->TakeError() : Error::kNotFound;
}

size_t Poll(std::span<PollItem> items, Nanoseconds deadline) {
  Call call(Effect::kNone);
  guest::Stack* stack = call.stack();
  if (!stack) return 0;
  if (!stack->sharing().shared()) stack->Turn(0);
  for (;;) {
    size_t count = 0;
    for (PollItem& item : items) {
      SocketBase* base = Lookup(item.socket);
      item.returned = base ? base->Readiness() & (item.events | kErr | kHup) : uint32_t{kErr};
      count += item.returned != 0;
    }
    if (count > 0) return count;
    if (Now() >= deadline || stack->platform().loop().stopping()) return 0;
    AwaitStack(*stack, deadline, Effect::kNone);
  }
}

bool Stopping() {
  Call call(Effect::kNone);
  return !call.stack() || call.stack()->platform().loop().stopping();
}

Status Start(Platform& platform) { return guest::Stack::Start(platform); }

namespace {

class ProgramWork final : public Work {
 public:
  ProgramWork(Program& program, Cpus& cpus) : program_(program), cpus_(cpus) {}
  void Run() override {
    status_ = program_.Run();
    // Release: the status is seen by who finds it done.
    done_.store(true, std::memory_order_release);
    cpus_.Wake(0);
  }
  bool done() const { return done_.load(std::memory_order_acquire); }
  int status() const { return status_; }

 private:
  Program& program_;
  Cpus& cpus_;
  int status_ = 0;
  std::atomic<bool> done_{false};
};

}  // namespace

int RunProgram(Program& program) {
  constexpr Nanoseconds kLongestTurn = 100'000'000;
  guest::Stack* stack = guest::Stack::instance();
  if (!stack) return program.Run();
  Cpus& cpus = stack->platform().cpus();
  ProgramWork work(program, cpus);
  if (cpus.count() <= guest::Sharing::kProgramCpu) return program.Run();
  stack->sharing().Begin();
  if (!cpus.Start(guest::Sharing::kProgramCpu, &work).ok()) {
    stack->sharing().End();
    return program.Run();
  }
  while (!work.done()) stack->Turn(Now() + kLongestTurn);
  stack->sharing().End();
  return work.status();
}

}  // namespace librettos::sockets
