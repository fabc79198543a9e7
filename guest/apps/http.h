// An HTTP/1.1 server for the domain's files: http [--port N].
//
// GET and HEAD over IPv4 and IPv6, keep-alive and pipelining, single byte ranges, index.html or a listing. Up
// to kHttpConnections clients; beyond, idle ones are let go and new ones wait in the backlog. GET
// /.librettos/health answers "ok".
#pragma once

#include <cstdint>

#include "guest/apps/http_connection.h"
#include "guest/apps/slots.h"
#include "guest/sockets/sockets.h"

namespace librettos::apps {

inline constexpr uint32_t kHttpConnections = 10000;

class HttpServer {
 public:
  explicit HttpServer(Files& files) : shared_{files, buffer_} {}
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens. kUnavailable: on neither family (logged).
  Status Open(uint16_t port);
  // Serves until sockets::Stopping().
  void Run();

 private:
  void Accept(int listener);
  void Turn(uint64_t key);
  void Sweep(Nanoseconds now);
  void SetAccepting(bool accepting);

  struct Client {
    Client(HttpShared& shared, int socket, Nanoseconds now)
        : connection(shared, socket, now), socket(socket) {}
    HttpConnection connection;
    int socket;
    uint32_t watched = sockets::kIn;
  };

  std::byte buffer_[128 << 10];
  HttpShared shared_;
  int listeners_[2] = {-1, -1};
  bool accepting_ = true;
  sockets::Epoll* epoll_ = nullptr;  // Owned.
  Slots<Client, kHttpConnections> clients_;
};

}  // namespace librettos::apps
