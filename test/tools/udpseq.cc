// A numbered UDP stream in one direction over the kernel's sockets: the other end of a guest's `udpseq`.
//
//   udpseq send ADDRESS PORT [--rate N] [--size BYTES] [--seconds S] [--count N]
//   udpseq receive PORT [--bind ADDRESS] [--seconds S] [--count N]
//   udpseq ask ADDRESS PORT report|reset
//
// `send` prints {"sent", "failed"} at its end. `receive` measures arrivals by the kernel's timestamps, so
// that its own scheduling does not count, and answers "report" and "reset" as a guest does. At its end
// (--seconds, --count of received, end of standard input if that is a pipe, SIGINT, SIGTERM), and for each
// line "mark [LABEL]" on standard input, it prints one line of JSON: the figures of the whole run, of the
// time since the last mark ("window"), and the longest gaps of the window with the numbers on both sides and
// when they began (UTC, nanoseconds). `ask` prints the answer of a receiver, here or in a guest; exit 1
// without one.
//
// Wire format: guest/apps/udpseq_wire.h. Exit status: 0 done, 1 could not work, 2 wrong usage.
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "guest/apps/pacer.h"
#include "guest/apps/udpseq_wire.h"
#include "guest/apps/wire_bytes.h"
#include "test/tools/measure.h"

namespace {

using librettos::apps::Get64;
using librettos::apps::kUdpseqHeaderBytes;
using librettos::apps::kUdpseqMaxBytes;
using librettos::apps::kUdpseqReport;
using librettos::apps::kUdpseqReset;
using librettos::apps::Pacer;
using librettos::apps::Put64;
using librettos::apps::SequenceTracker;
using librettos::apps::TextOf;
using librettos::apps::UdpseqFigures;
using librettos::test::Clock;
using librettos::test::kSecond;

constexpr size_t kTopGaps = 16;
constexpr unsigned kBatch = 64;

volatile sig_atomic_t stopping = 0;

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "udpseq: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

[[noreturn]] void Usage(const std::string& what) {
  fprintf(stderr,
          "udpseq: %s\nusage: udpseq send ADDRESS PORT [--rate N] [--size BYTES] [--seconds S] [--count N]\n"
          "       udpseq receive PORT [--bind ADDRESS] [--seconds S] [--count N]\n"
          "       udpseq ask ADDRESS PORT report|reset\n",
          what.c_str());
  exit(2);
}

struct Options {
  std::vector<std::string> words;
  std::map<std::string, std::string> values;

  uint64_t Number(const std::string& name, uint64_t preset, uint64_t low, uint64_t high) const {
    const auto found = values.find(name);
    if (found == values.end()) return preset;
    char* end = nullptr;
    const uint64_t value = strtoull(found->second.c_str(), &end, 10);
    if (found->second.empty() || *end != 0 || found->second[0] == '-' || value < low || value > high) {
      Usage(name + " must be a number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return value;
  }
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      options.words.push_back(word);
      continue;
    }
    if (word != "--rate" && word != "--size" && word != "--seconds" && word != "--count" &&
        word != "--bind") {
      Usage("unknown option " + word);
    }
    if (i + 1 == argc) Usage(word + " needs a value");
    options.values[word] = argv[++i];
  }
  return options;
}

struct Endpoint {
  sockaddr_storage address;
  socklen_t length;
};

Endpoint Resolve(const std::string& host, const std::string& port, bool passive) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found)) {
    Usage(host + " port " + port + ": " + gai_strerror(error));
  }
  Endpoint endpoint{};
  memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
  endpoint.length = found->ai_addrlen;
  freeaddrinfo(found);
  return endpoint;
}

int Open(const Endpoint& endpoint) {
  const int s = socket(endpoint.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) Fail("socket");
  // As much as the system gives: FORCE needs CAP_NET_ADMIN.
  const int bytes = 8 << 20;
  for (const auto& [forced, plain] :
       {std::pair(SO_RCVBUFFORCE, SO_RCVBUF), std::pair(SO_SNDBUFFORCE, SO_SNDBUF)}) {
    if (setsockopt(s, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0)
      setsockopt(s, SOL_SOCKET, plain, &bytes, sizeof bytes);
  }
  return s;
}

int Send(const Options& options) {
  const Endpoint peer = Resolve(options.words[1], options.words[2], false);
  const uint64_t rate = options.Number("--rate", 1000, 1, 1'000'000);
  const size_t size = options.Number("--size", 64, kUdpseqHeaderBytes, kUdpseqMaxBytes);
  const uint64_t count = options.Number("--count", UINT64_MAX, 1, UINT64_MAX);
  const uint64_t seconds = options.Number("--seconds", 0, 0, 1'000'000'000);
  const int s = Open(peer);
  if (connect(s, reinterpret_cast<const sockaddr*>(&peer.address), peer.length) != 0) Fail("connect");
  std::vector<std::byte> packet(size);
  uint64_t number = 0, failed = 0;
  const uint64_t start = Clock();
  const uint64_t end = seconds == 0 ? UINT64_MAX : start + seconds * kSecond;
  Pacer pacer(rate, start);
  while (stopping == 0 && number < count) {
    const uint64_t now = Clock();
    if (now >= end) break;
    for (uint64_t due = std::min<uint64_t>(pacer.Due(now), count - number); due != 0; --due) {
      Put64(packet.data(), number++);
      Put64(packet.data() + 8, Clock());
      // A refusal (no neighbour for a moment, port unreachable) is a loss that the receiver's figures show.
      if (send(s, packet.data(), packet.size(), 0) < 0) ++failed;
      pacer.Sent();
    }
    const uint64_t wake = std::min(pacer.Next(), end);
    const timespec until{static_cast<time_t>(wake / kSecond), static_cast<long>(wake % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
  printf("{\"sent\":%lu,\"failed\":%lu}\n", number, failed);
  close(s);
  return 0;
}

struct Gap {
  uint64_t nanoseconds;
  uint64_t began;  // UTC.
  uint64_t before, after;
};

class Receiver {
 public:
  explicit Receiver(int socket)
      : socket_(socket), buffers_(kBatch * kUdpseqMaxBytes), controls_(kBatch * kControlBytes) {}

  uint64_t received() const { return Sum(streams_).received; }

  // Takes all that is there.
  void Drain() {
    mmsghdr messages[kBatch];
    iovec vectors[kBatch];
    sockaddr_storage peers[kBatch];
    int count = 0;
    do {
      for (unsigned i = 0; i < kBatch; ++i) {
        vectors[i] = {buffers_.data() + i * kUdpseqMaxBytes, kUdpseqMaxBytes};
        messages[i] = {};
        messages[i].msg_hdr.msg_name = &peers[i];
        messages[i].msg_hdr.msg_namelen = sizeof peers[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = controls_.data() + i * kControlBytes;
        messages[i].msg_hdr.msg_controllen = kControlBytes;
      }
      count = recvmmsg(socket_, messages, kBatch, MSG_DONTWAIT, nullptr);
      for (int i = 0; i < count; ++i) Take(messages[i].msg_hdr, messages[i].msg_len);
    } while (count == static_cast<int>(kBatch));
  }

  // Prints the figures and begins a new window.
  void Mark(const std::string& label) {
    std::string line = "{";
    if (!label.empty()) line += "\"label\":\"" + label + "\",";
    TextOf<1024> text;
    text.Add("\"total\":");
    const UdpseqFigures total = Sum(streams_);
    total.AddJson(text);
    text.Add(",\"window\":");
    UdpseqFigures window = Sum(window_);
    // What lies across the mark belongs to the window in which it was seen to end.
    window.lost = total.lost > lost_at_mark_ ? total.lost - lost_at_mark_ : 0;
    if (!gaps_.empty()) window.max_gap_us = gaps_[0].nanoseconds / 1000;
    window.AddJson(text);
    lost_at_mark_ = total.lost;
    line += std::string(text.view()) + ",\"gaps\":[";
    for (size_t i = 0; i < gaps_.size(); ++i) {
      char gap[200];
      snprintf(gap, sizeof gap, "%s{\"us\":%.1f,\"began_ns\":%lu,\"before\":%lu,\"after\":%lu}",
               i == 0 ? "" : ",", static_cast<double>(gaps_[i].nanoseconds) / 1e3, gaps_[i].began,
               gaps_[i].before, gaps_[i].after);
      line += gap;
    }
    puts((line + "]}").c_str());
    fflush(stdout);
    window_.clear();
    gaps_.clear();
  }

 private:
  static constexpr size_t kControlBytes = 128;
  using Streams = std::map<std::string, std::unique_ptr<SequenceTracker>>;  // By the sender's address.

  static UdpseqFigures Sum(const Streams& streams) {
    UdpseqFigures sum;
    for (const auto& [peer, stream] : streams) sum.Add(*stream);
    return sum;
  }
  static SequenceTracker& Find(Streams& streams, const std::string& peer) {
    std::unique_ptr<SequenceTracker>& stream = streams[peer];
    if (stream == nullptr) stream = std::make_unique<SequenceTracker>();
    return *stream;
  }

  void Take(msghdr& message, size_t length) {
    const std::string peer(static_cast<const char*>(message.msg_name), message.msg_namelen);
    const auto* data = static_cast<const std::byte*>(message.msg_iov->iov_base);
    const std::string_view text(reinterpret_cast<const char*>(data), length);
    if (text == kUdpseqReport || text == kUdpseqReset) return Answer(text, message);
    if (length < kUdpseqHeaderBytes) return;
    uint64_t time = 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      time = static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
    }
    if (time == 0) time = Clock(CLOCK_REALTIME);
    const uint64_t number = Get64(data);
    Find(streams_, peer).OnArrival(number, time);
    Find(window_, peer).OnArrival(number, time);
    Last& last = last_[peer];
    if (last.time != 0 && time > last.time) AddGap({time - last.time, last.time, last.number, number});
    last = {time, number};
  }

  void Answer(std::string_view question, const msghdr& message) {
    if (question == kUdpseqReset) {
      streams_.clear();
      window_.clear();
      last_.clear();
      gaps_.clear();
      lost_at_mark_ = 0;
    }
    TextOf<512> answer;
    Sum(streams_).AddJson(answer);
    // The asker repeats its question.
    (void)!sendto(socket_, answer.view().data(), answer.view().size(), MSG_DONTWAIT,
                  static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
  }

  // Keeps the longest, the longest first.
  void AddGap(const Gap& gap) {
    if (gaps_.size() == kTopGaps && gap.nanoseconds <= gaps_.back().nanoseconds) return;
    const auto at = std::find_if(gaps_.begin(), gaps_.end(),
                                 [&](const Gap& other) { return other.nanoseconds < gap.nanoseconds; });
    gaps_.insert(at, gap);
    if (gaps_.size() > kTopGaps) gaps_.pop_back();
  }

  struct Last {
    uint64_t time = 0;  // UTC.
    uint64_t number = 0;
  };

  const int socket_;
  std::vector<std::byte> buffers_;
  std::vector<char> controls_;
  Streams streams_, window_;
  std::map<std::string, Last> last_;
  std::vector<Gap> gaps_;  // Of the window.
  uint64_t lost_at_mark_ = 0;
};

// A label that can stand in JSON as it is.
std::string Label(const std::string& line) {
  std::string label;
  for (char c : line.substr(std::min<size_t>(line.size(), 5))) {
    if (isalnum(static_cast<unsigned char>(c)) || strchr("-_.:/ ", c) != nullptr) label += c;
  }
  return label;
}

int Receive(const Options& options) {
  const auto bind_to = options.values.find("--bind");
  // "::" takes IPv4, too.
  const Endpoint local =
      Resolve(bind_to == options.values.end() ? "::" : bind_to->second, options.words[1], true);
  const uint64_t count = options.Number("--count", UINT64_MAX, 1, UINT64_MAX);
  const uint64_t seconds = options.Number("--seconds", 0, 0, 1'000'000'000);
  const int s = Open(local);
  const int on = 1;
  setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  if (bind(s, reinterpret_cast<const sockaddr*>(&local.address), local.length) != 0)
    Fail("bind to port " + options.words[1]);
  Receiver receiver(s);
  const uint64_t end = seconds == 0 ? UINT64_MAX : Clock() + seconds * kSecond;
  struct stat input;
  const bool piped = fstat(0, &input) == 0 && (S_ISFIFO(input.st_mode) || S_ISSOCK(input.st_mode));
  std::string pending;
  // SIGINT and SIGTERM are only let in while waiting, so that none is missed between the test and the wait.
  sigset_t blocked, waiting;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &waiting);
  fprintf(stderr, "udpseq: receiving on port %s\n", options.words[1].c_str());
  while (stopping == 0 && receiver.received() < count) {
    const uint64_t now = Clock();
    if (now >= end) break;
    const uint64_t left = std::min(end - now, 3600 * kSecond);
    const timespec timeout{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
    pollfd fds[2] = {{s, POLLIN, 0}, {piped ? 0 : -1, POLLIN, 0}};
    if (ppoll(fds, 2, &timeout, &waiting) <= 0) continue;
    if (fds[0].revents != 0) receiver.Drain();
    if (fds[1].revents == 0) continue;
    char text[256];
    const ssize_t got = read(0, text, sizeof text);
    if (got <= 0) break;
    pending.append(text, static_cast<size_t>(got));
    for (size_t end_of_line; (end_of_line = pending.find('\n')) != pending.npos;
         pending.erase(0, end_of_line + 1)) {
      const std::string line = pending.substr(0, end_of_line);
      receiver.Drain();
      if (line.starts_with("mark")) receiver.Mark(Label(line));
    }
  }
  receiver.Drain();
  receiver.Mark("end");
  close(s);
  return 0;
}

int Ask(const Options& options) {
  const Endpoint peer = Resolve(options.words[1], options.words[2], false);
  const std::string& question = options.words[3];
  if (question != kUdpseqReport && question != kUdpseqReset)
    Usage("ask 'report' or 'reset', not '" + question + "'");
  const int s = Open(peer);
  if (connect(s, reinterpret_cast<const sockaddr*>(&peer.address), peer.length) != 0) Fail("connect");
  for (int attempt = 0; attempt < 10 && stopping == 0; ++attempt) {
    (void)!send(s, question.data(), question.size(), 0);
    pollfd fd{s, POLLIN, 0};
    if (poll(&fd, 1, 300) <= 0) continue;
    char answer[2048];
    const ssize_t got = recv(s, answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0) continue;
    printf("%.*s\n", static_cast<int>(got), answer);
    close(s);
    return 0;
  }
  fprintf(stderr, "udpseq: no answer from %s port %s; is a receiver there?\n", options.words[1].c_str(),
          options.words[2].c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = [](int) { stopping = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const Options options = Parse(argc, argv);
  const std::string command = options.words.empty() ? "" : options.words[0];
  if (command == "send" && options.words.size() == 3) return Send(options);
  if (command == "receive" && options.words.size() == 2) return Receive(options);
  if (command == "ask" && options.words.size() == 4) return Ask(options);
  Usage(command.empty() ? "no command" : "wrong use of '" + command + "'");
}
