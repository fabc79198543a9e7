#include "guest/apps/endpoint.h"

#include "guest/apps/text.h"

namespace librettos::apps {
namespace {

constexpr int kBacklog = 1024;

Status Prepare(int socket, sockets::Type type, const sockets::Address& address) {
  // Refusals of these two are no reason to serve nobody.
  (void)sockets::SetOption(socket, sockets::Option::kReuseAddress, true);
  if (address.family == sockets::Family::kIpv6)
    (void)sockets::SetOption(socket, sockets::Option::kIpv6Only, true);
  if (Status bound = sockets::Bind(socket, address); !bound.ok()) return bound;
  return type == sockets::Type::kStream ? sockets::Listen(socket, kBacklog) : Status();
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
    out[i] = -1;
    Error why = Error::kOk;
    Result<int> socket = sockets::Socket(families[i], type);
    if (!socket.ok()) {
      why = socket.error();
    } else if (Status ready = Prepare(*socket, type, sockets::Address::Any(families[i], port)); !ready.ok()) {
      why = ready.error();
      sockets::Close(*socket);
    } else {
      out[i] = *socket;
      ++opened;
      continue;
    }
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
