// guest/sockets/sockets.h over the host kernel's sockets, so that the programs can be run against real
// clients without a guest's stack. For tests only. Names, events and meanings are the same; a handle is a
// descriptor.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "guest/sockets/sockets.h"

namespace librettos::sockets {
namespace {

volatile sig_atomic_t stopping = 0;

Error FromErrno(int error) {
  switch (error) {
    case 0:
      return Error::kOk;
    case EAGAIN:
    case EINPROGRESS:
    case ENOBUFS:
      return Error::kAgain;
    case EINVAL:
    case EMSGSIZE:
      return Error::kInvalidArgument;
    case EBADF:
    case ENOENT:
      return Error::kNotFound;
    case EACCES:
    case EPERM:
      return Error::kPermission;
    case EADDRINUSE:
      return Error::kInUse;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Error::kExhausted;
    case ETIMEDOUT:
      return Error::kTimeout;
    case EAFNOSUPPORT:
      return Error::kUnsupported;
    default:
      return Error::kUnavailable;
  }
}

Status Checked(int result) { return result == 0 ? Error::kOk : FromErrno(errno); }

socklen_t ToKernel(const Address& from, sockaddr_storage* to) {
  *to = {};
  if (from.family == Family::kIpv4) {
    auto* in = reinterpret_cast<sockaddr_in*>(to);
    in->sin_family = AF_INET;
    in->sin_port = htons(from.port);
    memcpy(&in->sin_addr, from.bytes, 4);
    return sizeof *in;
  }
  auto* in = reinterpret_cast<sockaddr_in6*>(to);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(from.port);
  in->sin6_scope_id = from.scope;
  memcpy(&in->sin6_addr, from.bytes, 16);
  return sizeof *in;
}

Address FromKernel(const sockaddr_storage& from) {
  Address to;
  if (from.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(from);
    to.port = ntohs(in.sin_port);
    memcpy(to.bytes, &in.sin_addr, 4);
  } else {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(from);
    to.family = Family::kIpv6;
    to.port = ntohs(in.sin6_port);
    to.scope = in.sin6_scope_id;
    memcpy(to.bytes, &in.sin6_addr, 16);
  }
  return to;
}

timespec Left(Nanoseconds deadline) {
  const Nanoseconds now = Now();
  const Nanoseconds left = deadline > now ? std::min<Nanoseconds>(deadline - now, 3'600'000'000'000) : 0;
  return {static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
}

class KernelEpoll final : public Epoll {
 public:
  explicit KernelEpoll(int descriptor) : descriptor_(descriptor) {}
  ~KernelEpoll() override { close(descriptor_); }

  Status Add(int socket, uint32_t events, uint64_t data) override {
    return Control(EPOLL_CTL_ADD, socket, events, data);
  }
  Status Modify(int socket, uint32_t events, uint64_t data) override {
    return Control(EPOLL_CTL_MOD, socket, events, data);
  }
  Status Remove(int socket) override { return Control(EPOLL_CTL_DEL, socket, 0, 0); }
  size_t Wait(std::span<EpollEvent> out, Nanoseconds deadline) override {
    std::vector<epoll_event> events(out.size());
    const timespec left = Left(deadline);
    const int count =
        epoll_pwait2(descriptor_, events.data(), static_cast<int>(events.size()), &left, nullptr);
    for (int i = 0; i < count; ++i) out[i] = {events[i].events, events[i].data.u64};
    return count > 0 ? static_cast<size_t>(count) : 0;
  }

 private:
  // The bits of Event are those of EPOLL*.
  Status Control(int operation, int socket, uint32_t events, uint64_t data) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    return Checked(epoll_ctl(descriptor_, operation, socket, &event));
  }
  const int descriptor_;
};

}  // namespace

Address Address::Any(Family family, uint16_t port) {
  Address address;
  address.family = family;
  address.port = port;
  return address;
}

Result<Address> Address::Parse(std::string_view text, uint16_t port) {
  const std::string copy(text);
  Address address;
  address.port = port;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes) == 1) return address;
  address.family = Family::kIpv6;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes) == 1) return address;
  return Error::kInvalidArgument;
}

Result<int> Socket(Family family, Type type) {
  const int descriptor =
      socket(family == Family::kIpv4 ? AF_INET : AF_INET6,
             (type == Type::kStream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return FromErrno(errno);
  return descriptor;
}

Status Bind(int socket, const Address& address) {
  sockaddr_storage to;
  const socklen_t length = ToKernel(address, &to);
  return Checked(bind(socket, reinterpret_cast<sockaddr*>(&to), length));
}

Status Listen(int socket, int backlog) { return Checked(listen(socket, backlog)); }

Result<int> Accept(int socket, Address* peer) {
  sockaddr_storage from;
  socklen_t length = sizeof from;
  const int descriptor =
      accept4(socket, reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) return FromErrno(errno);
  *peer = FromKernel(from);
  return descriptor;
}

Status Connect(int socket, const Address& peer) {
  sockaddr_storage to;
  const socklen_t length = ToKernel(peer, &to);
  return Checked(connect(socket, reinterpret_cast<sockaddr*>(&to), length));
}

Result<size_t> Send(int socket, std::span<const std::byte> data) {
  const ssize_t sent = send(socket, data.data(), data.size(), MSG_NOSIGNAL);
  if (sent < 0) return FromErrno(errno);
  return static_cast<size_t>(sent);
}

Result<size_t> Receive(int socket, std::span<std::byte> out) {
  const ssize_t got = recv(socket, out.data(), out.size(), 0);
  if (got < 0) return FromErrno(errno);
  return static_cast<size_t>(got);
}

Result<size_t> SendTo(int socket, std::span<const std::byte> data, const Address& peer) {
  sockaddr_storage to;
  const socklen_t length = ToKernel(peer, &to);
  const ssize_t sent =
      sendto(socket, data.data(), data.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), length);
  if (sent < 0) return FromErrno(errno);
  return static_cast<size_t>(sent);
}

Result<size_t> ReceiveFrom(int socket, std::span<std::byte> out, Address* peer) {
  sockaddr_storage from;
  socklen_t length = sizeof from;
  const ssize_t got =
      recvfrom(socket, out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
  if (got < 0) return FromErrno(errno);
  *peer = FromKernel(from);
  return static_cast<size_t>(got);
}

Status ShutdownWrite(int socket) { return Checked(shutdown(socket, SHUT_WR)); }
void Close(int socket) { close(socket); }

Result<Address> LocalAddress(int socket) {
  sockaddr_storage from;
  socklen_t length = sizeof from;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&from), &length) != 0) return FromErrno(errno);
  return FromKernel(from);
}

Result<Address> PeerAddress(int socket) {
  sockaddr_storage from;
  socklen_t length = sizeof from;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&from), &length) != 0) return FromErrno(errno);
  return FromKernel(from);
}

Status SetOption(int socket, Option option, bool on) {
  const int value = on ? 1 : 0;
  int level = SOL_SOCKET, name = 0;
  switch (option) {
    case Option::kReuseAddress:
      name = SO_REUSEADDR;
      break;
    case Option::kKeepAlive:
      name = SO_KEEPALIVE;
      break;
    case Option::kNoDelay:
      level = IPPROTO_TCP, name = TCP_NODELAY;
      break;
    case Option::kIpv6Only:
      level = IPPROTO_IPV6, name = IPV6_V6ONLY;
      break;
  }
  return Checked(setsockopt(socket, level, name, &value, sizeof value));
}

Error SocketError(int socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return FromErrno(errno);
  return FromErrno(error);
}

size_t Poll(std::span<PollItem> items, Nanoseconds deadline) {
  std::vector<pollfd> polled;
  for (const PollItem& item : items) polled.push_back({item.socket, static_cast<short>(item.events), 0});
  const timespec left = Left(deadline);
  const int count = ppoll(polled.data(), polled.size(), &left, nullptr);
  for (size_t i = 0; i < items.size(); ++i)
    items[i].returned = count > 0 ? static_cast<uint16_t>(polled[i].revents) : 0;
  return count > 0 ? static_cast<size_t>(count) : 0;
}

Result<Epoll*> Epoll::Create() {
  const int descriptor = epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) return FromErrno(errno);
  return static_cast<Epoll*>(new KernelEpoll(descriptor));
}

bool Stopping() { return stopping != 0; }

Status Start(Platform&) {
  struct sigaction action {};
  action.sa_handler = [](int) { stopping = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  return {};
}

int RunProgram(Program& program) { return program.Run(); }

}  // namespace librettos::sockets
