// A numbered UDP stream, for tests and the demonstration:
//   udpseq send ADDRESS PORT [--rate N] [--size B] [--seconds S]
//   udpseq receive [--port N]
#include <algorithm>
#include <memory>
#include <new>

#include "guest/apps/endpoint.h"
#include "guest/apps/options.h"
#include "guest/apps/pacer.h"
#include "guest/apps/program.h"
#include "guest/apps/udpseq_wire.h"
#include "guest/apps/wire_bytes.h"

namespace librettos::apps {
namespace {

constexpr std::string_view kUsage =
    "udpseq send ADDRESS PORT [--rate PACKETS_PER_S] [--size BYTES] [--seconds S] | udpseq receive [--port "
    "N]";
constexpr uint64_t kBurst = 64;  // Packets between two turns of the stack.
constexpr Nanoseconds kWake = 1'000'000'000;
constexpr uint32_t kStreams = 16;

int Send(int socket, sockets::Epoll& epoll, const sockets::Address& peer, uint64_t rate, size_t size,
         Nanoseconds end) {
  const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[size]());
  if (buffer == nullptr) {
    Log("udpseq: cannot send: no memory");
    return 1;
  }
  const std::span<std::byte> packet(buffer.get(), size);
  sockets::EpollEvent events[4];
  uint64_t number = 0, failed = 0;
  bool blocked = false;
  Pacer pacer(rate, Now());
  for (Nanoseconds now = Now(); !sockets::Stopping() && now < end; now = Now()) {
    bool blocks = false;
    for (uint64_t due = std::min(pacer.Due(now), kBurst); due != 0; --due) {
      Put64(packet.data(), number);
      Put64(packet.data() + 8, Now());
      const Result<size_t> sent = sockets::SendTo(socket, packet, peer);
      blocks = !sent.ok() && sent.error() == Error::kAgain;
      if (blocks) break;  // The number is still to be sent.
      if (!sent.ok()) ++failed;
      ++number;
      pacer.Sent();
    }
    if (blocks != blocked)
      (void)epoll.Modify(socket, blocks ? sockets::kIn | sockets::kOut : sockets::kIn, 0);
    blocked = blocks;
    const Nanoseconds wake = blocks ? now + kWake : pacer.Next();
    if (epoll.Wait(events, std::min(wake, std::min(end, now + kWake))) == 0) continue;
    sockets::Address from;
    std::byte ignored[64];
    while (sockets::ReceiveFrom(socket, ignored, &from).ok()) continue;
    (void)sockets::SocketError(socket);  // Port unreachable: the receiver may still come.
  }
  Line line;
  line.Add("udpseq: {\"sent\":").AddNumber(number).Add(",\"failed\":").AddNumber(failed).Add('}');
  Log(line.view());
  return 0;
}

class Receiver {
 public:
  void OnDatagram(int socket, std::span<const std::byte> data, const sockets::Address& peer) {
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    if (text == kUdpseqReset) {
      for (Stream& stream : streams_) stream = Stream();
    }
    if (text == kUdpseqReset || text == kUdpseqReport) {
      TextOf<512> answer;
      Figures().AddJson(answer);
      (void)sockets::SendTo(socket, std::as_bytes(std::span(answer.view())), peer);  // The asker repeats.
    } else if (data.size() >= kUdpseqHeaderBytes) {
      Find(peer).tracker.OnArrival(Get64(data.data()), Now());
    }
  }

  UdpseqFigures Figures() const {
    UdpseqFigures figures;
    for (const Stream& stream : streams_) {
      if (stream.tracker.any()) figures.Add(stream.tracker);
    }
    return figures;
  }

 private:
  struct Stream {
    sockets::Address peer;
    Nanoseconds last = 0;
    SequenceTracker tracker;
  };

  // The peer's stream; a new one takes the place of the one that has been silent longest.
  Stream& Find(const sockets::Address& peer) {
    Stream* oldest = &streams_[0];
    for (Stream& stream : streams_) {
      if (stream.last < oldest->last) oldest = &stream;
      if (!stream.tracker.any() || stream.peer.port != peer.port || stream.peer.family != peer.family)
        continue;
      if (!std::equal(peer.bytes, peer.bytes + 16, stream.peer.bytes)) continue;
      stream.last = Now();
      return stream;
    }
    *oldest = Stream();
    oldest->peer = peer;
    oldest->last = Now();
    return *oldest;
  }

  Stream streams_[kStreams];
};

int Receive(sockets::Epoll& epoll, uint16_t port) {
  const std::unique_ptr<Receiver> receiver(new (std::nothrow) Receiver);
  int endpoints[2];
  const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[kUdpseqMaxBytes]);
  if (receiver == nullptr || buffer == nullptr ||
      OpenEndpoints("udpseq", sockets::Type::kDatagram, port, endpoints) == 0) {
    Log("udpseq: cannot receive: no memory or no port");
    return 1;
  }
  for (uint64_t i = 0; i < 2; ++i) {
    if (endpoints[i] >= 0 && !epoll.Add(endpoints[i], sockets::kIn, i).ok()) return 1;
  }
  sockets::EpollEvent events[4];
  while (!sockets::Stopping()) {
    const size_t count = epoll.Wait(events, Now() + kWake);
    for (size_t i = 0; i < count; ++i) {
      const int socket = endpoints[events[i].data & 1];
      for (uint64_t n = 0; n < kBurst; ++n) {
        sockets::Address peer;
        const Result<size_t> got = sockets::ReceiveFrom(socket, {buffer.get(), kUdpseqMaxBytes}, &peer);
        if (!got.ok()) break;
        receiver->OnDatagram(socket, {buffer.get(), std::min(got.value(), kUdpseqMaxBytes)}, peer);
      }
    }
  }
  TextOf<512> text;
  text.Add("udpseq: ");
  receiver->Figures().AddJson(text);
  Log(text.view());
  for (int endpoint : endpoints) {
    if (endpoint >= 0) sockets::Close(endpoint);
  }
  return 0;
}

}  // namespace

int RunUdpseq(Platform&, Arguments arguments) {
  std::string_view port_text = "9000", rate_text = "1000", size_text = "64", seconds_text = "0";
  const OptionSpec specs[] = {{"--port", "-p", true, &port_text},
                              {"--rate", "-r", true, &rate_text},
                              {"--size", "-s", true, &size_text},
                              {"--seconds", "-t", true, &seconds_text}};
  std::string_view words[3];
  size_t count = 0;
  uint64_t port = 0, rate = 0, size = 0, seconds = 0;
  Line error;
  if (!ParseOptions(arguments, specs, words, &count, error))
    return UsageError("udpseq", error.view(), kUsage);
  const bool send = count == 3 && words[0] == "send";
  if (!send && !(count == 1 && words[0] == "receive")) {
    return UsageError("udpseq", "needs 'send ADDRESS PORT' or 'receive'", kUsage);
  }
  if (!ParseNumber(send ? "PORT" : "--port", send ? words[2] : port_text, 1, 65535, &port, error) ||
      !ParseScaled("--rate", rate_text, 1, 1'000'000, &rate, error) ||
      !ParseNumber("--size", size_text, kUdpseqHeaderBytes, kUdpseqMaxBytes, &size, error) ||
      !ParseNumber("--seconds", seconds_text, 0, 1'000'000'000, &seconds, error)) {
    return UsageError("udpseq", error.view(), kUsage);
  }
  Result<sockets::Epoll*> epoll = sockets::Epoll::Create();
  if (!epoll.ok()) {
    Log("udpseq: no memory for an epoll set");
    return 1;
  }
  const std::unique_ptr<sockets::Epoll> owned(*epoll);
  if (!send) return Receive(*owned, static_cast<uint16_t>(port));
  const Result<sockets::Address> peer = sockets::Address::Parse(words[1], static_cast<uint16_t>(port));
  if (!peer.ok()) return UsageError("udpseq", "ADDRESS is neither an IPv4 nor an IPv6 address", kUsage);
  const Result<int> socket = sockets::Socket(peer.value().family, sockets::Type::kDatagram);
  if (!socket.ok() || !epoll.value()->Add(socket.value(), sockets::kIn, 0).ok()) {
    Log("udpseq: cannot open a UDP socket");
    return 1;
  }
  const Nanoseconds end = seconds == 0 ? UINT64_MAX : Now() + seconds * 1'000'000'000;
  const int status = Send(socket.value(), *owned, peer.value(), rate, size, end);
  sockets::Close(socket.value());
  return status;
}

}  // namespace librettos::apps
