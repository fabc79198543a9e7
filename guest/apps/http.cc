#include "guest/apps/http.h"

#include <algorithm>
#include <memory>
#include <new>

#include "guest/apps/endpoint.h"
#include "guest/apps/options.h"
#include "guest/apps/program.h"

namespace librettos::apps {
namespace {

constexpr Nanoseconds kSweepEvery = 1'000'000'000;
constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kListenerKey = uint64_t{1} << 63;  // + index; above all keys of Slots.

}  // namespace

HttpServer::~HttpServer() {
  for (int listener : listeners_) {
    if (listener >= 0) sockets::Close(listener);
  }
  clients_.ForEach([this](uint64_t key, Client&) { clients_.Remove(key); });
  delete epoll_;
}

Status HttpServer::Open(uint16_t port) {
  Result<sockets::Epoll*> epoll = sockets::Epoll::Create();
  if (!epoll.ok()) return epoll.error();
  epoll_ = *epoll;
  if (OpenEndpoints("http", sockets::Type::kStream, port, listeners_) == 0) return Error::kUnavailable;
  for (uint64_t i = 0; i < 2; ++i) {
    if (listeners_[i] < 0) continue;
    if (Status added = epoll_->Add(listeners_[i], sockets::kIn, kListenerKey + i); !added.ok()) return added;
  }
  return {};
}

void HttpServer::Run() {
  sockets::EpollEvent events[256];
  Nanoseconds next_sweep = Now() + kSweepEvery;
  while (!sockets::Stopping()) {
    const size_t count = epoll_->Wait(events, next_sweep);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t key = events[i].data;
      if (key >= kListenerKey) {
        Accept(listeners_[key & 1]);
      } else {
        Turn(key);
      }
    }
    const Nanoseconds now = Now();
    if (now >= next_sweep) {
      Sweep(now);
      next_sweep = now + kSweepEvery;
    }
  }
}

void HttpServer::Accept(int listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (clients_.full()) return SetAccepting(false);
    sockets::Address peer;
    Result<int> socket = sockets::Accept(listener, &peer);
    if (!socket.ok()) return;
    (void)sockets::SetOption(*socket, sockets::Option::kNoDelay, true);
    uint64_t key = 0;
    Client* client = clients_.Add(&key, shared_, *socket, Now());
    if (client == nullptr) {
      sockets::Close(*socket);
      return;
    }
    if (!epoll_->Add(*socket, sockets::kIn, key).ok()) {
      clients_.Remove(key);
      return;
    }
    Turn(key);  // The request has often come with the handshake's end.
  }
}

void HttpServer::Turn(uint64_t key) {
  Client* client = clients_.Find(key);
  if (client == nullptr) return;
  if (!client->connection.Turn(Now())) {
    clients_.Remove(key);
    if (!accepting_) SetAccepting(true);
    return;
  }
  const uint32_t wanted = client->connection.wanted();
  if (wanted == client->watched) return;
  client->watched = wanted;
  if (!epoll_->Modify(client->socket, wanted, key).ok()) clients_.Remove(key);
}

void HttpServer::Sweep(Nanoseconds now) {
  // When the table is full, whoever only keeps a connection open makes room for those who wait.
  const bool make_room = clients_.full();
  clients_.ForEach([&](uint64_t key, Client& client) {
    const bool expired = now >= client.connection.deadline();
    if (!expired && !(make_room && client.connection.idle())) return;
    if (expired) client.connection.OnTimeout();
    clients_.Remove(key);
  });
  if (!accepting_ && !clients_.full()) SetAccepting(true);
}

void HttpServer::SetAccepting(bool accepting) {
  accepting_ = accepting;
  for (uint64_t i = 0; i < 2; ++i) {
    if (listeners_[i] < 0) continue;
    (void)epoll_->Modify(listeners_[i], accepting ? uint32_t{sockets::kIn} : 0u, kListenerKey + i);
  }
}

int RunHttp(Platform& platform, Arguments arguments) {
  constexpr std::string_view kUsage = "http [--port N]";
  std::string_view port_text = "80";
  const OptionSpec specs[] = {{"--port", "-p", true, &port_text}};
  size_t words = 0;
  uint64_t port = 0;
  Line error;
  if (!ParseOptions(arguments, specs, {}, &words, error) ||
      !ParseNumber("--port", port_text, 1, 65535, &port, error)) {
    return UsageError("http", error.view(), kUsage);
  }
  const std::unique_ptr<HttpServer> server(new (std::nothrow) HttpServer(platform.files()));
  if (server == nullptr) {
    Log("http: not enough memory for the server; give the guest more");
    return 1;
  }
  if (Status opened = server->Open(static_cast<uint16_t>(port)); !opened.ok()) {
    Line line;
    line.Add("http: cannot listen on port ").AddNumber(port).Add(": ").Add(ToString(opened.error()));
    Log(line.view());
    return 1;
  }
  Line line;
  line.Add("http: serving on port ").AddNumber(port);
  Log(line.view());
  server->Run();
  return 0;
}

}  // namespace librettos::apps
