#include <algorithm>
#include <memory>
#include <new>

#include "guest/apps/endpoint.h"
#include "guest/apps/iperf.h"
#include "guest/apps/iperf_header.h"
#include "guest/apps/slots.h"
#include "guest/apps/text.h"

namespace librettos::apps {
namespace {

constexpr uint32_t kConnections = 256;
constexpr uint32_t kTests = 128;  // UDP tests at a time.
constexpr Nanoseconds kForgetAfter =
    10'000'000'000;  // A silent UDP test; its client asks ten times in 2.5 s.
constexpr size_t kTurnBytes = 1 << 20;
constexpr int kTurnDatagrams = 64;
constexpr Nanoseconds kWake = 1'000'000'000;

uint64_t Microseconds(Nanoseconds time) { return time / 1000; }

class IperfServer {
 public:
  ~IperfServer() {
    connections_.ForEach([this](uint64_t key, Connection&) { connections_.Remove(key); });
    for (int i = 0; i < 2; ++i) {
      if (listeners_[i] >= 0) sockets::Close(listeners_[i]);
      if (datagrams_[i] >= 0) sockets::Close(datagrams_[i]);
    }
    delete epoll_;
  }

  bool Open(uint16_t port) {
    Result<sockets::Epoll*> epoll = sockets::Epoll::Create();
    if (!epoll.ok()) return false;
    epoll_ = *epoll;
    const int opened = OpenEndpoints("iperf", sockets::Type::kStream, port, listeners_) +
                       OpenEndpoints("iperf", sockets::Type::kDatagram, port, datagrams_);
    for (int i = 0; i < 2; ++i) {
      if (listeners_[i] >= 0 && !epoll_->Add(listeners_[i], sockets::kIn, kListenerKey + i).ok())
        return false;
      if (datagrams_[i] >= 0 && !epoll_->Add(datagrams_[i], sockets::kIn, kDatagramKey + i).ok())
        return false;
    }
    return opened != 0;
  }

  void Run() {
    sockets::EpollEvent events[64];
    while (!sockets::Stopping()) {
      const size_t count = epoll_->Wait(events, Now() + kWake);
      for (size_t i = 0; i < count; ++i) {
        const uint64_t key = events[i].data;
        if (key >= kDatagramKey) {
          TurnDatagrams(datagrams_[key - kDatagramKey]);
        } else if (key >= kListenerKey) {
          Accept(listeners_[key - kListenerKey]);
        } else {
          TurnConnection(key);
        }
      }
    }
  }

 private:
  struct Connection {
    Connection(int socket, const sockets::Address& peer) : socket(socket), peer(peer), start(Now()) {}
    ~Connection() { sockets::Close(socket); }
    const int socket;
    const sockets::Address peer;
    const Nanoseconds start;
    uint64_t bytes = 0;
  };
  struct Test {
    sockets::Address peer;
    Nanoseconds last = 0;  // 0: free.
    IperfUdpTest figures;
  };
  static constexpr uint64_t kListenerKey = Slots<Connection, kConnections>::kNotSlot;
  static constexpr uint64_t kDatagramKey = kListenerKey + 2;

  void Accept(int listener) {
    while (true) {
      sockets::Address peer;
      const Result<int> socket = sockets::Accept(listener, &peer);
      if (!socket.ok()) return;
      uint64_t key = 0;
      if (connections_.Add(&key, socket.value(), peer) == nullptr) {
        sockets::Close(socket.value());
        Log("iperf: refused a connection: too many at a time");
      } else if (!epoll_->Add(socket.value(), sockets::kIn, key).ok()) {
        connections_.Remove(key);
      }
    }
  }

  void TurnConnection(uint64_t key) {
    Connection* connection = connections_.Find(key);
    if (connection == nullptr) return;
    for (size_t taken = 0; taken < kTurnBytes;) {
      const Result<size_t> got = sockets::Receive(connection->socket, buffer_);
      if (!got.ok() && got.error() == Error::kAgain) return;
      if (!got.ok() || got.value() == 0) {
        LogIperfFigures("received over TCP from", connection->peer, connection->bytes,
                        Microseconds(Now() - connection->start), got.ok() ? "" : " (broken off)");
        connections_.Remove(key);
        return;
      }
      taken += got.value();
      connection->bytes += got.value();
    }
  }

  void TurnDatagrams(int socket) {
    for (int i = 0; i < kTurnDatagrams; ++i) {
      sockets::Address peer;
      const Result<size_t> got = sockets::ReceiveFrom(socket, buffer_, &peer);
      if (!got.ok()) return;
      IperfDatagram datagram;
      if (!ParseIperfDatagram({buffer_, got.value()}, &datagram)) continue;
      const Nanoseconds now = Now();
      Test* test = Find(peer, datagram.number < 0, now);
      if (test == nullptr) continue;
      const bool ended_before = test->figures.ended();
      test->last = now;
      if (!test->figures.OnDatagram(datagram, got.value(), Microseconds(now))) continue;
      // Each repetition of the end is answered: the last answer may have been lost.
      std::byte answer[kIperfReportBytes];
      const IperfReport report = test->figures.report();
      WriteIperfReport(report, answer);
      (void)sockets::SendTo(socket, answer, peer);
      if (!ended_before) LogReport(peer, report);
    }
  }

  void LogReport(const sockets::Address& peer, const IperfReport& report) {
    TextOf<160> more;
    more.Add(", ").AddNumber(report.lost).Add(" of ").AddNumber(report.datagrams).Add(" datagrams lost, ");
    more.AddNumber(report.out_of_order)
        .Add(" out of order, jitter ")
        .AddFixed(report.jitter_us, 1000, 3)
        .Add(" ms");
    LogIperfFigures("received over UDP from", peer, report.bytes, report.duration_us, more.view());
  }

  // The test of `peer`. Without one, the end of a test opens none (it is left over from an earlier one), and
  // a datagram that is no end does, also after an ended one. nullptr: none, or too many.
  Test* Find(const sockets::Address& peer, bool end, Nanoseconds now) {
    Test* free = nullptr;
    for (Test& test : tests_) {
      if (test.last == 0 || now - test.last > kForgetAfter) {
        if (free == nullptr) free = &test;
        if (test.last == 0) continue;
      }
      if (test.peer.port != peer.port || test.peer.family != peer.family) continue;
      if (!std::equal(peer.bytes, peer.bytes + 16, test.peer.bytes)) continue;
      if (end || !test.figures.ended()) return &test;
      free = &test;
      break;
    }
    if (end || free == nullptr) return nullptr;
    *free = Test();
    free->peer = peer;
    return free;
  }

  int listeners_[2] = {-1, -1};
  int datagrams_[2] = {-1, -1};
  sockets::Epoll* epoll_ = nullptr;  // Owned.
  std::byte buffer_[128 << 10];
  Slots<Connection, kConnections> connections_;
  Test tests_[kTests];
};

}  // namespace

int RunIperfServer(uint16_t port) {
  const std::unique_ptr<IperfServer> server(new (std::nothrow) IperfServer);
  if (server == nullptr || !server->Open(port)) {
    Line line;
    line.Add("iperf: cannot serve on port ").AddNumber(port);
    Log(line.Add(server == nullptr ? ": not enough memory" : ": no socket").view());
    return 1;
  }
  Line line;
  Log(line.Add("iperf: serving on port ").AddNumber(port).view());
  server->Run();
  return 0;
}

}  // namespace librettos::apps
