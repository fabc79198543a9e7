#include "guest/apps/endpoint.h"

#include "guest/apps/text.h"

namespace librettos::apps {
namespace {

constexpr int kBacklog = 1024;
// A server that is just being replaced or started grants no ports: each attempt is given up after 2 s.
constexpr int kAttempts = 30;

Status Prepare(int socket, sockets::Type type, const sockets::Address& address) {
  // Refusals of these two are no reason to serve nobody.
  (void)sockets::SetOption(socket, sockets::Option::kReuseAddress, true);
  if (address.family == sockets::Family::kIpv6)
    (void)sockets::SetOption(socket, sockets::Option::kIpv6Only, true);
  if (Status bound = sockets::Bind(socket, address); !bound.ok()) return bound;
  return type == sockets::Type::kStream ? sockets::Listen(socket, kBacklog) : Status();
}

// A socket that is ready, or why there is none.
Result<int> Open(sockets::Family family, sockets::Type type, uint16_t port) {
  Result<int> socket = sockets::Socket(family, type);
  if (!socket.ok()) return socket;
  if (Status ready = Prepare(*socket, type, sockets::Address::Any(family, port)); !ready.ok()) {
    sockets::Close(*socket);
    return ready.error();
  }
  return socket;
}

std::string_view Advice(Error error) {
  switch (error) {
    case Error::kInUse:
      return "another program or another guest on this address has the port; choose another with --port";
    case Error::kTimeout:
    case Error::kUnavailable:
      return "no network server answered; see that one is active";
    default:
      return "see the guest's addresses";
  }
}

}  // namespace

int OpenEndpoints(std::string_view program, sockets::Type type, uint16_t port, int out[2]) {
  int opened = 0;
  const sockets::Family families[] = {sockets::Family::kIpv4, sockets::Family::kIpv6};
  for (int i = 0; i < 2; ++i) {
    Result<int> socket = Open(families[i], type, port);
    for (int attempt = 1; attempt < kAttempts && socket.error() == Error::kTimeout; ++attempt)
      socket = Open(families[i], type, port);
    out[i] = socket.ok() ? *socket : -1;
    if (socket.ok()) {
      ++opened;
      continue;
    }
    const Error why = socket.error();
    Line line;
    line.Add(program)
        .Add(": cannot use ")
        .Add(type == sockets::Type::kStream ? "TCP" : "UDP")
        .Add(" port ")
        .AddNumber(port);
    line.Add(" on ").Add(i == 0 ? "IPv4" : "IPv6").Add(": ").Add(ToString(why)).Add("; ").Add(Advice(why));
    Log(line.view());
  }
  return opened;
}

}  // namespace librettos::apps
