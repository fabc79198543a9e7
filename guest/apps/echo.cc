// The echo service (RFC 862) over TCP and UDP, IPv4 and IPv6: echo [--port N].
//
// What comes back over TCP is bounded by one buffer per connection: while it is not taken, nothing more is
// read. The client's half-close is answered after the last byte. Datagrams come back whole or not at all.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "guest/apps/endpoint.h"
#include "guest/apps/options.h"
#include "guest/apps/program.h"
#include "guest/apps/slots.h"

namespace librettos::apps {
namespace {

constexpr uint32_t kConnections = 4096;
constexpr size_t kHeldBytes = 16 << 10;   // Most that is held for one connection.
constexpr size_t kTurnBytes = 128 << 10;  // Echoed per connection and turn.
constexpr int kTurnDatagrams = 64;
constexpr int kAcceptsPerTurn = 64;
constexpr Nanoseconds kWake = 1'000'000'000;

class EchoConnection {
 public:
  explicit EchoConnection(int socket) : socket(socket) {}
  ~EchoConnection() { sockets::Close(socket); }
  EchoConnection(const EchoConnection&) = delete;
  EchoConnection& operator=(const EchoConnection&) = delete;

  // False: over.
  bool Turn(std::span<std::byte> scratch) {
    for (size_t echoed = 0; echoed < kTurnBytes;) {
      if (held_ != nullptr) {
        const Result<size_t> sent = sockets::Send(socket, {held_.get() + at_, end_ - at_});
        if (!sent.ok()) return WaitFor(sockets::kOut, sent.error());
        at_ += std::min(sent.value(), end_ - at_);
        if (at_ != end_) return WaitFor(sockets::kOut, Error::kAgain);
        held_.reset();
      }
      if (peer_done_) return false;  // All is back: closing sends our end.
      const Result<size_t> got = sockets::Receive(socket, scratch);
      if (!got.ok()) return WaitFor(sockets::kIn, got.error());
      if (got.value() == 0) {
        peer_done_ = true;
        continue;
      }
      echoed += got.value();
      const Result<size_t> sent = sockets::Send(socket, scratch.first(got.value()));
      if (!sent.ok() && sent.error() != Error::kAgain) return false;
      const size_t taken = sent.ok() ? std::min(sent.value(), got.value()) : 0;
      if (taken != got.value() && !Hold(scratch.subspan(taken, got.value() - taken))) return false;
    }
    wanted = held_ != nullptr ? sockets::kOut : sockets::kIn;
    return true;
  }

  const int socket;
  uint32_t wanted = sockets::kIn;
  uint32_t watched = sockets::kIn;

 private:
  bool WaitFor(uint32_t events, Error error) {
    wanted = events;
    return error == Error::kAgain;
  }

  bool Hold(std::span<const std::byte> rest) {
    held_.reset(new (std::nothrow) std::byte[rest.size()]);
    if (held_ == nullptr) return false;
    std::memcpy(held_.get(), rest.data(), rest.size());
    at_ = 0;
    end_ = rest.size();
    return true;
  }

  bool peer_done_ = false;
  std::unique_ptr<std::byte[]> held_;  // Received, not yet taken back: [at_, end_).
  size_t at_ = 0;
  size_t end_ = 0;
};

class EchoServer {
 public:
  ~EchoServer() {
    connections_.ForEach([this](uint64_t key, EchoConnection&) { connections_.Remove(key); });
    for (int i = 0; i < 2; ++i) {
      if (listeners_[i] >= 0) sockets::Close(listeners_[i]);
      if (datagrams_[i].socket >= 0) sockets::Close(datagrams_[i].socket);
    }
    delete epoll_;
  }

  bool Open(uint16_t port) {
    Result<sockets::Epoll*> epoll = sockets::Epoll::Create();
    if (!epoll.ok()) return false;
    epoll_ = *epoll;
    int udp[2];
    const int opened = OpenEndpoints("echo", sockets::Type::kStream, port, listeners_) +
                       OpenEndpoints("echo", sockets::Type::kDatagram, port, udp);
    for (int i = 0; i < 2; ++i) {
      datagrams_[i].socket = udp[i];
      if (listeners_[i] >= 0 && !epoll_->Add(listeners_[i], sockets::kIn, kListenerKey + i).ok())
        return false;
      if (udp[i] >= 0 && !epoll_->Add(udp[i], sockets::kIn, kDatagramKey + i).ok()) return false;
    }
    return opened != 0;
  }

  void Run() {
    sockets::EpollEvent events[128];
    while (!sockets::Stopping()) {
      const size_t count = epoll_->Wait(events, Now() + kWake);
      for (size_t i = 0; i < count; ++i) {
        const uint64_t key = events[i].data;
        if (key >= kDatagramKey) {
          TurnDatagrams(key - kDatagramKey);
        } else if (key >= kListenerKey) {
          Accept(listeners_[key - kListenerKey]);
        } else {
          Turn(key);
        }
      }
    }
  }

 private:
  static constexpr uint64_t kListenerKey = Slots<EchoConnection, kConnections>::kNotSlot;
  static constexpr uint64_t kDatagramKey = kListenerKey + 2;

  struct Datagrams {
    int socket = -1;
    size_t held = 0;  // Bytes of the datagram that waits for room; 0: none.
    bool waiting = false;
    sockets::Address peer;
    std::byte buffer[65536];
  };

  void Accept(int listener) {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      if (connections_.full()) return SetAccepting(false);
      sockets::Address peer;
      const Result<int> socket = sockets::Accept(listener, &peer);
      if (!socket.ok()) return;
      (void)sockets::SetOption(socket.value(), sockets::Option::kNoDelay, true);
      (void)sockets::SetOption(socket.value(), sockets::Option::kKeepAlive, true);
      uint64_t key = 0;
      if (connections_.Add(&key, socket.value()) == nullptr) {
        sockets::Close(socket.value());
      } else if (!epoll_->Add(socket.value(), sockets::kIn, key).ok()) {
        connections_.Remove(key);
      }
    }
  }

  void Turn(uint64_t key) {
    EchoConnection* connection = connections_.Find(key);
    if (connection == nullptr) return;
    if (!connection->Turn(scratch_)) {
      connections_.Remove(key);
      if (!accepting_) SetAccepting(true);
    } else if (connection->wanted != connection->watched) {
      connection->watched = connection->wanted;
      if (!epoll_->Modify(connection->socket, connection->wanted, key).ok()) connections_.Remove(key);
    }
  }

  void SetAccepting(bool accepting) {
    accepting_ = accepting;
    for (int i = 0; i < 2; ++i) {
      if (listeners_[i] < 0) continue;
      (void)epoll_->Modify(listeners_[i], accepting ? uint32_t{sockets::kIn} : 0u, kListenerKey + i);
    }
  }

  void TurnDatagrams(uint64_t index) {
    Datagrams& all = datagrams_[index];
    for (int i = 0; i < kTurnDatagrams; ++i) {
      if (!all.waiting) {
        const Result<size_t> got = sockets::ReceiveFrom(all.socket, all.buffer, &all.peer);
        if (!got.ok()) return;
        // An answer to another echo (7), quote (17) or chargen (19) service would go to and fro for ever.
        if (all.peer.port == 7 || all.peer.port == 17 || all.peer.port == 19 || all.peer.port == 0) continue;
        all.held = got.value();
      }
      const Result<size_t> sent = sockets::SendTo(all.socket, {all.buffer, all.held}, all.peer);
      const bool wait = !sent.ok() && sent.error() == Error::kAgain;
      if (wait != all.waiting) {
        all.waiting = wait;
        (void)epoll_->Modify(all.socket, wait ? sockets::kOut : sockets::kIn, kDatagramKey + index);
      }
      if (wait) return;
    }
  }

  int listeners_[2] = {-1, -1};
  bool accepting_ = true;
  sockets::Epoll* epoll_ = nullptr;  // Owned.
  std::byte scratch_[kHeldBytes];
  Datagrams datagrams_[2];
  Slots<EchoConnection, kConnections> connections_;
};

}  // namespace

int RunEcho(Platform&, Arguments arguments) {
  constexpr std::string_view kUsage = "echo [--port N]";
  std::string_view port_text = "7";
  const OptionSpec specs[] = {{"--port", "-p", true, &port_text}};
  size_t words = 0;
  uint64_t port = 0;
  Line error;
  if (!ParseOptions(arguments, specs, {}, &words, error) ||
      !ParseNumber("--port", port_text, 1, 65535, &port, error)) {
    return UsageError("echo", error.view(), kUsage);
  }
  const std::unique_ptr<EchoServer> server(new (std::nothrow) EchoServer);
  if (server == nullptr || !server->Open(static_cast<uint16_t>(port))) {
    Line line;
    line.Add("echo: cannot serve on port ").AddNumber(port);
    Log(line.Add(server == nullptr ? ": not enough memory" : ": no socket").view());
    return 1;
  }
  Line line;
  Log(line.Add("echo: serving on port ").AddNumber(port).view());
  server->Run();
  return 0;
}

}  // namespace librettos::apps
