// A numbered UDP stream to an echo server: shows loss and pauses of whatever lies in between.
//
//   stream ADDRESS PORT [--rate N] [--size BYTES] [--patience MILLISECONDS]
//
// Sends numbered datagrams at a steady rate and takes their echoes, until standard input ends. For each line
// "mark" on standard input it waits until every number sent before it has come back, but no longer than the
// patience (half a second), nor than half a second after a number sent later came back; then it prints one
// line of JSON about the numbers since the last mark:
//   sent, received, missing, duplicates, reordered: datagrams;
//   pause_us: the longest time from sending a number to the arrival (kernel timestamp) of it or of any later
//   one, so that neither loss nor this program's own scheduling hides or inflates an outage; median_us,
//   p99_us: of the same over all new highest numbers, to compare with;
//   after_ns, after_us: of the first arrival after the instant of a line "mark NS" (UTC), when it came and
//   its pause.
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "test/tools/measure.h"

namespace {

constexpr int64_t kHalfSecond = 500'000'000;

int64_t NowNs() { return static_cast<int64_t>(librettos::test::Clock(CLOCK_REALTIME)); }

class Stream {
 public:
  Stream(int socket, int64_t rate, size_t size, int64_t patience_ns)
      : socket_(socket), interval_ns_(1'000'000'000 / rate), size_(size), patience_ns_(patience_ns) {}

  int Run() {
    int64_t next = NowNs();
    for (;;) {
      int64_t now = NowNs();
      if (now - next > 100'000'000) next = now;  // After a stop of this program: no burst.
      for (int burst = 0; now >= next && burst < 64; ++burst) {
        Send();
        next += interval_ns_;
        now = NowNs();
      }
      pollfd fds[2] = {{socket_, POLLIN, 0}, {marking_ ? -1 : 0, POLLIN, 0}};
      const int64_t wait = std::max<int64_t>(0, next - now);
      timespec timeout{wait / 1'000'000'000, wait % 1'000'000'000};
      ppoll(fds, 2, &timeout, nullptr);
      if (fds[0].revents) Receive();
      if (fds[1].revents && !ReadCommand()) return 0;
      if (marking_ && next_expected_ > boundary_)
        mark_deadline_ = std::min(mark_deadline_, NowNs() + kHalfSecond);
      if (marking_ && (missing_before_boundary() == 0 || NowNs() > mark_deadline_)) Report();
    }
  }

 private:
  struct Sent {
    int64_t time = 0;
    bool received = false;
  };

  void Send() {
    std::vector<uint8_t>& packet = packet_;
    packet.resize(size_);
    const uint64_t number = base_ + sent_.size();
    memcpy(packet.data(), &number, sizeof number);
    sent_.push_back({NowNs(), false});
    // A refusal (full buffer, no route for a moment) is a loss that the report shows.
    (void)!send(socket_, packet.data(), packet.size(), MSG_DONTWAIT);
  }

  void Receive() {
    for (;;) {
      uint8_t data[2048];
      alignas(cmsghdr) char control[128];
      iovec vector{data, sizeof data};
      msghdr message{};
      message.msg_iov = &vector;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t length = recvmsg(socket_, &message, MSG_DONTWAIT);
      if (length < 0) return;
      if (static_cast<size_t>(length) < sizeof(uint64_t)) continue;
      int64_t time = NowNs();
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
          timespec t;
          memcpy(&t, CMSG_DATA(c), sizeof t);
          time = t.tv_sec * 1'000'000'000ll + t.tv_nsec;
        }
      }
      uint64_t number;
      memcpy(&number, data, sizeof number);
      Arrived(number, time);
    }
  }

  void Arrived(uint64_t number, int64_t time) {
    if (number < base_) {
      ++late_;
      return;
    }
    const size_t index = number - base_;
    if (index >= sent_.size()) return;  // Not ours.
    if (sent_[index].received) {
      ++duplicates_;
      return;
    }
    sent_[index].received = true;
    ++received_;
    if (index < next_expected_) {
      ++reordered_;
      return;
    }
    pauses_.push_back(time - sent_[next_expected_].time);
    arrivals_.push_back(time);
    next_expected_ = index + 1;
  }

  bool ReadCommand() {
    char line[64];
    const ssize_t length = read(0, line, sizeof line);
    if (length <= 0) return false;
    const std::string text(line, static_cast<size_t>(length));
    if (const size_t mark = text.find("mark"); mark != std::string::npos) {
      instant_ = atoll(text.c_str() + mark + strlen("mark"));
      marking_ = true;
      boundary_ = sent_.size();
      scanned_ = 0;
      mark_deadline_ = NowNs() + patience_ns_;
    }
    return true;
  }

  size_t missing_before_boundary() {
    while (scanned_ < boundary_ && sent_[scanned_].received) ++scanned_;
    return boundary_ - scanned_;
  }

  void Report() {
    size_t missing = 0;
    for (size_t i = 0; i < boundary_; ++i) missing += !sent_[i].received;
    // Clocks can be set back: the first in the order of arrival.
    const auto after =
        std::find_if(arrivals_.begin(), arrivals_.end(), [&](int64_t t) { return t > instant_; });
    int64_t after_ns = 0, after_pause = 0;
    if (after != arrivals_.end()) {
      after_ns = *after;
      after_pause = pauses_[static_cast<size_t>(after - arrivals_.begin())];
    }
    std::sort(pauses_.begin(), pauses_.end());
    auto microseconds = [&](double fraction) {
      return static_cast<double>(librettos::test::Percentile(pauses_, fraction)) / 1e3;
    };
    printf(
        "{\"sent\": %zu, \"received\": %zu, \"missing\": %zu, \"duplicates\": %zu, \"reordered\": %zu, "
        "\"late\": %zu, "
        "\"pause_us\": %.1f, \"median_us\": %.1f, \"p99_us\": %.1f, \"after_ns\": %ld, \"after_us\": %.1f}\n",
        boundary_, boundary_ - missing, missing, duplicates_, reordered_, late_, microseconds(1),
        microseconds(0.5), microseconds(0.99), after_ns, static_cast<double>(after_pause) / 1e3);
    fflush(stdout);
    sent_.erase(sent_.begin(), sent_.begin() + static_cast<ptrdiff_t>(boundary_));
    base_ += boundary_;
    next_expected_ = next_expected_ > boundary_ ? next_expected_ - boundary_ : 0;
    received_ = duplicates_ = reordered_ = late_ = 0;
    pauses_.clear();
    arrivals_.clear();
    marking_ = false;
  }

  const int socket_;
  const int64_t interval_ns_;
  const size_t size_;
  const int64_t patience_ns_;
  std::vector<uint8_t> packet_;
  std::vector<Sent> sent_;    // Since the last mark.
  uint64_t base_ = 0;         // Number of sent_[0].
  size_t next_expected_ = 0;  // One above the highest number that came back.
  size_t received_ = 0, duplicates_ = 0, reordered_ = 0, late_ = 0;
  std::vector<int64_t> pauses_;
  std::vector<int64_t> arrivals_;  // When each of them ended.
  int64_t instant_ = 0;            // Of the mark.
  bool marking_ = false;
  size_t boundary_ = 0, scanned_ = 0;
  int64_t mark_deadline_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  int64_t rate = 5000;
  size_t size = 200;
  int64_t patience_ns = kHalfSecond;
  for (int i = 3; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--rate")) rate = atoll(argv[i + 1]);
    if (!strcmp(argv[i], "--size")) size = static_cast<size_t>(atoll(argv[i + 1]));
    if (!strcmp(argv[i], "--patience")) patience_ns = atoll(argv[i + 1]) * 1'000'000;
  }
  if (argc < 3 || rate <= 0 || rate > 1'000'000 || size < 8 || size > 1472) {
    fprintf(stderr, "usage: stream ADDRESS PORT [--rate 1..1000000] [--size 8..1472] [--patience MS]\n");
    return 2;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (const int error = getaddrinfo(argv[1], argv[2], &hints, &found)) {
    fprintf(stderr, "stream: %s port %s: %s\n", argv[1], argv[2], gai_strerror(error));
    return 2;
  }
  const int s = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int on = 1, bytes = 8 << 20;
  setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  if (s < 0 || connect(s, found->ai_addr, found->ai_addrlen) < 0) {
    fprintf(stderr, "stream: connect: %s\n", strerror(errno));
    return 1;
  }
  return Stream(s, rate, size, patience_ns).Run();
}
