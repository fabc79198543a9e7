// A network server that takes its role, never forwards a frame and never becomes healthy: what an upgrade has
// to come back from.
#include <memory>
#include <new>

#include "netserver/server.h"

namespace librettos {

int DomainMain(Platform& platform) {
  std::unique_ptr<netserver::Server> server(
      new (std::nothrow) netserver::Server(platform, netserver::Behaviour::kNeverHealthy));
  Status status = server ? server->Start() : Status(Error::kExhausted);
  if (!status.ok()) {
    Log(netserver::Text().Add("network server did not start: ").Add(ToString(status.error())).view());
    return 1;
  }
  server->Run();
  return 0;
}

}  // namespace librettos
