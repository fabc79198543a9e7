#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "guest/apps/iperf.h"
#include "guest/apps/iperf_header.h"
#include "guest/apps/pacer.h"
#include "guest/apps/text.h"

namespace librettos::apps {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kAskAgain = kSecond / 4;  // For a server's report.
constexpr int kAsks = 10;
constexpr size_t kTurnBytes = 256 << 10;
constexpr uint64_t kBurst = 32;

struct Stream {
  int socket = -1;
  bool done = false;
  bool failed = false;
  bool blocked = false;
  uint64_t bytes = 0;
  int64_t number = 0;  // Of the UDP datagram sent last.
  Pacer pacer{1, 0};
};

class IperfClient {
 public:
  explicit IperfClient(const IperfClientOptions& options) : options_(options) {}
  ~IperfClient() {
    for (Stream& stream : streams_) {
      if (stream.socket >= 0) sockets::Close(stream.socket);
    }
    delete epoll_;
  }

  int Run() {
    if (Status opened = Open(); !opened.ok()) {
      Line line;
      line.Add("iperf: cannot connect to ")
          .AddEndpoint(options_.peer)
          .Add(": ")
          .Add(ToString(opened.error()));
      Log(line.view());
      return 1;
    }
    start_ = Now();
    end_ = start_ + options_.seconds * kSecond;
    if (options_.udp) {
      RunUdp();
      AskForReports();
    } else {
      RunTcp();
    }
    uint64_t bytes = 0;
    uint32_t failed = 0;
    for (uint32_t i = 0; i < options_.streams; ++i) {
      bytes += streams_[i].bytes;
      failed += streams_[i].failed;
    }
    TextOf<96> more;
    more.Add(", ").AddNumber(options_.streams).Add(" streams");
    if (failed != 0) more.Add(", ").AddNumber(failed).Add(" failed");
    LogIperfFigures(options_.udp ? "sent over UDP to" : "sent over TCP to", options_.peer, bytes,
                    (stopped_ - start_) / 1000, more.view());
    return failed == 0 ? 0 : 1;
  }

 private:
  Status Open() {
    Result<sockets::Epoll*> epoll = sockets::Epoll::Create();
    if (!epoll.ok()) return epoll.error();
    epoll_ = *epoll;
    for (uint32_t i = 0; i < options_.streams; ++i) {
      const sockets::Type type = options_.udp ? sockets::Type::kDatagram : sockets::Type::kStream;
      const Result<int> socket = sockets::Socket(options_.peer.family, type);
      if (!socket.ok()) return socket.error();
      streams_[i].socket = socket.value();
      const Status connected = sockets::Connect(socket.value(), options_.peer);
      if (!connected.ok() && connected.error() != Error::kAgain) return connected;
      const uint32_t events = options_.udp ? sockets::kIn : sockets::kOut;
      if (Status added = epoll_->Add(socket.value(), events, i); !added.ok()) return added;
    }
    return {};
  }

  void RunTcp() {
    // Zeros: no settings, a plain test.
    sockets::EpollEvent events[kIperfMaxStreams];
    uint32_t open = options_.streams;
    while (open != 0 && !sockets::Stopping() && Now() < end_) {
      const size_t count = epoll_->Wait(events, end_);
      for (size_t i = 0; i < count; ++i) {
        Stream& stream = streams_[events[i].data];
        for (size_t turn = 0; turn < kTurnBytes && !stream.done;) {
          const Result<size_t> sent = sockets::Send(stream.socket, {buffer_, options_.bytes});
          if (!sent.ok() && sent.error() == Error::kAgain) break;
          if (!sent.ok()) {
            Line line;
            line.Add("iperf: connection to ")
                .AddEndpoint(options_.peer)
                .Add(" failed: ")
                .Add(ToString(sent.error()));
            Log(line.view());
            stream.done = stream.failed = true;
            (void)epoll_->Remove(stream.socket);
            --open;
            break;
          }
          stream.bytes += sent.value();
          turn += sent.value();
          if (sent.value() < options_.bytes) break;
        }
      }
    }
    Drain();
    stopped_ = Now();
  }

  // Lets what is under way arrive: the figures are of what the server took, and its end is seen, for up to 5
  // s.
  void Drain() {
    const Nanoseconds give_up = Now() + 5 * kSecond;
    uint32_t open = 0;
    for (uint32_t i = 0; i < options_.streams; ++i) {
      Stream& stream = streams_[i];
      if (stream.done) continue;
      stream.done =
          !sockets::ShutdownWrite(stream.socket).ok() || !epoll_->Modify(stream.socket, sockets::kIn, i).ok();
      if (!stream.done) ++open;
    }
    sockets::EpollEvent events[kIperfMaxStreams];
    while (open != 0 && !sockets::Stopping() && Now() < give_up) {
      const size_t count = epoll_->Wait(events, give_up);
      for (size_t i = 0; i < count; ++i) {
        Stream& stream = streams_[events[i].data];
        const Result<size_t> got = sockets::Receive(stream.socket, answer_);
        if (stream.done || (!got.ok() && got.error() == Error::kAgain) || (got.ok() && got.value() != 0))
          continue;
        stream.done = true;
        (void)epoll_->Remove(stream.socket);
        --open;
      }
    }
  }

  void RunUdp() {
    const uint64_t rate = std::max<uint64_t>(options_.bits_per_second / (8 * options_.bytes), 1);
    for (uint32_t i = 0; i < options_.streams; ++i) streams_[i].pacer = Pacer(rate, start_);
    sockets::EpollEvent events[kIperfMaxStreams];
    for (Nanoseconds now = Now(); !sockets::Stopping() && now < end_; now = Now()) {
      Nanoseconds next = end_;
      for (uint32_t i = 0; i < options_.streams; ++i) {
        Stream& stream = streams_[i];
        const bool blocks = !SendDue(stream, now);
        if (blocks != stream.blocked) {
          stream.blocked = blocks;
          (void)epoll_->Modify(stream.socket, blocks ? sockets::kIn | sockets::kOut : sockets::kIn, i);
        }
        if (!blocks) next = std::min(next, stream.pacer.Next());
      }
      const size_t count = epoll_->Wait(events, next);
      // Early answers and refusals are of no use yet; left there, they would keep the loop awake.
      for (size_t i = 0; i < count; ++i) Discard(streams_[events[i].data].socket);
    }
    stopped_ = Now();
  }

  void Discard(int socket) {
    (void)sockets::Receive(socket, answer_);
    (void)sockets::SocketError(socket);
  }

  // False: the socket is full.
  bool SendDue(Stream& stream, Nanoseconds now) {
    for (uint64_t due = std::min(stream.pacer.Due(now), kBurst); due != 0; --due) {
      if (!SendDatagram(stream, stream.number + 1)) return false;
      ++stream.number;
      stream.bytes += options_.bytes;
      stream.pacer.Sent();
    }
    return true;
  }

  // False: would block.
  bool SendDatagram(const Stream& stream, int64_t number) {
    WriteIperfDatagram({.number = number, .sent_us = Now() / 1000, .sequence64 = true}, buffer_);
    const Result<size_t> sent = sockets::Send(stream.socket, {buffer_, options_.bytes});
    return sent.ok() || sent.error() != Error::kAgain;  // Other errors are this datagram's loss.
  }

  void AskForReports() {
    sockets::EpollEvent events[kIperfMaxStreams];
    uint32_t open = options_.streams;
    for (uint32_t i = 0; i < options_.streams; ++i) (void)epoll_->Modify(streams_[i].socket, sockets::kIn, i);
    for (int ask = 0; ask < kAsks && open != 0 && !sockets::Stopping(); ++ask) {
      for (uint32_t i = 0; i < options_.streams; ++i) {
        if (!streams_[i].done) (void)SendDatagram(streams_[i], -(streams_[i].number + 1));
      }
      const Nanoseconds until = Now() + kAskAgain;
      while (open != 0 && !sockets::Stopping() && Now() < until) {
        const size_t count = epoll_->Wait(events, until);
        for (size_t i = 0; i < count; ++i) {
          if (TakeReport(streams_[events[i].data])) --open;
        }
      }
    }
    for (uint32_t i = 0; i < options_.streams; ++i) {
      if (streams_[i].done) continue;
      streams_[i].failed = true;
      Log("iperf: the server sent no report of the UDP test; see that 'iperf -s -u' runs there");
    }
  }

  bool TakeReport(Stream& stream) {
    const Result<size_t> got = sockets::Receive(stream.socket, answer_);
    IperfReport report;
    if (!got.ok()) (void)sockets::SocketError(stream.socket);
    if (!got.ok() || stream.done ||
        !ParseIperfReport({answer_, std::min(got.value(), sizeof answer_)}, &report))
      return false;
    stream.done = true;
    TextOf<160> more;
    more.Add(", ").AddNumber(report.lost).Add(" of ").AddNumber(report.datagrams).Add(" datagrams lost, ");
    more.AddNumber(report.out_of_order)
        .Add(" out of order, jitter ")
        .AddFixed(report.jitter_us, 1000, 3)
        .Add(" ms");
    LogIperfFigures("server's report of UDP to", options_.peer, report.bytes, report.duration_us,
                    more.view());
    return true;
  }

  const IperfClientOptions options_;
  sockets::Epoll* epoll_ = nullptr;  // Owned.
  Nanoseconds start_ = 0, end_ = 0, stopped_ = 0;
  Stream streams_[kIperfMaxStreams];
  std::byte buffer_[128 << 10] = {};
  std::byte answer_[2048];
};

}  // namespace

int RunIperfClient(const IperfClientOptions& options) {
  const std::unique_ptr<IperfClient> client(new (std::nothrow) IperfClient(options));
  if (client == nullptr) {
    Log("iperf: not enough memory; give the guest more");
    return 1;
  }
  return client->Run();
}

}  // namespace librettos::apps
