// An imperfect link between two network namespaces: makes a TAP interface in each and moves frames between
// them.
//
//   link NAMESPACE:INTERFACE NAMESPACE:INTERFACE [--loss N] [--duplicate N] [--reorder N] [--delay US]
//   [--jitter US]
//        [--reorder-by US] [--rate KBIT] [--queue FRAMES] [--seed N] [--one-way]
//
// Namespaces are names below /run/netns. Loss, duplication and reordering are per mille; --one-way: they
// happen from the first to the second only (delay, rate and queue are those of both). The interfaces take no
// offloads, so that the kernel cuts large segments before, and what is lost is one frame as it would be on a
// wire. They are left down and without address: that is the caller's. Prints "ready" once they exist, and the
// counters of both directions as one line of JSON when standard input ends; the interfaces go with it. Exit
// status: 0; 1: cannot; 2: wrong usage.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "test/tools/impairment.h"
#include "test/tools/measure.h"

namespace {

using librettos::test::Clock;
using librettos::test::Impairment;
using librettos::test::kSecond;
using librettos::test::LinkCounters;
using librettos::test::LinkOptions;

constexpr size_t kMaxFrame = 65536;
constexpr int kBatch = 64;  // Of one direction, before the other's turn.

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "link: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

[[noreturn]] void Usage(const std::string& what) {
  fprintf(stderr,
          "link: %s\nusage: link NAMESPACE:INTERFACE NAMESPACE:INTERFACE [--loss N] [--duplicate N] "
          "[--reorder N]\n"
          "  [--delay US] [--jitter US] [--reorder-by US] [--rate KBIT] [--queue FRAMES] [--seed N] "
          "[--one-way]\n",
          what.c_str());
  exit(2);
}

uint64_t Number(const std::string& name, const char* text, uint64_t most) {
  char* end = nullptr;
  const uint64_t value = strtoull(text, &end, 10);
  if (*text == 0 || *text == '-' || *end != 0 || value > most)
    Usage(name + " needs a number up to " + std::to_string(most));
  return value;
}

// The interface lives as long as the descriptor.
int MakeTap(const std::string& place) {
  const size_t colon = place.find(':');
  if (colon == std::string::npos || place.size() - colon - 1 >= IFNAMSIZ)
    Usage(place + " is not NAMESPACE:INTERFACE");
  const std::string path = "/run/netns/" + place.substr(0, colon);
  const int space = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) Fail(path);
  close(space);
  const int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) Fail("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  place.copy(request.ifr_name, IFNAMSIZ - 1, colon + 1);
  if (ioctl(tap, TUNSETIFF, &request) != 0 || ioctl(tap, TUNSETOFFLOAD, 0) != 0) Fail(place);
  return tap;
}

// Takes what has come in at `from`, and hands on to `to` what has arrived there.
void Move(int from, int to, Impairment& link) {
  static std::byte frame[kMaxFrame];
  for (int i = 0; i < kBatch; ++i) {
    const ssize_t length = read(from, frame, sizeof frame);
    if (length <= 0) break;  // Nothing, or the interface is down.
    link.Push({frame, static_cast<size_t>(length)}, Clock());
  }
  const uint64_t now = Clock();
  while (const auto out = link.Pop(now)) {
    // A TAP refuses only while it is down: as a cable without an end.
    (void)!write(to, out->data(), out->size());
  }
}

std::string Json(const LinkCounters& counters) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"frames\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"overflowed\":%lu}",
           counters.frames, counters.lost, counters.duplicated, counters.reordered, counters.overflowed);
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) Usage("two interfaces are needed");
  LinkOptions there;
  uint64_t seed = 1;
  bool one_way = false;
  for (int i = 3; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--one-way") {
      one_way = true;
      continue;
    }
    if (i + 1 == argc) Usage(name + " is unknown or needs a value");
    const char* value = argv[++i];
    constexpr uint64_t kPerMille = 1000, kLongest = 60'000'000;
    if (name == "--loss") {
      there.loss = static_cast<uint32_t>(Number(name, value, kPerMille));
    } else if (name == "--duplicate") {
      there.duplicate = static_cast<uint32_t>(Number(name, value, kPerMille));
    } else if (name == "--reorder") {
      there.reorder = static_cast<uint32_t>(Number(name, value, kPerMille));
    } else if (name == "--delay") {
      there.delay_us = Number(name, value, kLongest);
    } else if (name == "--jitter") {
      there.jitter_us = Number(name, value, kLongest);
    } else if (name == "--reorder-by") {
      there.reorder_us = Number(name, value, kLongest);
    } else if (name == "--rate") {
      there.kbit_per_s = Number(name, value, 1'000'000'000);
    } else if (name == "--queue") {
      there.queue_frames = Number(name, value, 1'000'000);
    } else if (name == "--seed") {
      seed = Number(name, value, UINT64_MAX);
    } else {
      Usage("unknown option " + name);
    }
  }
  LinkOptions back = there;
  if (one_way) back.loss = back.duplicate = back.reorder = 0;
  const int a = MakeTap(argv[1]), b = MakeTap(argv[2]);
  Impairment forth(there, seed), home(back, ~seed);
  puts("ready");
  fflush(stdout);
  for (;;) {
    pollfd fds[3] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {0, POLLIN, 0}};
    const uint64_t next = std::min(forth.next(), home.next()), now = Clock();
    const uint64_t wait = next == UINT64_MAX ? kSecond : next > now ? next - now : 0;
    const timespec timeout{static_cast<time_t>(wait / kSecond), static_cast<long>(wait % kSecond)};
    ppoll(fds, 3, &timeout, nullptr);
    Move(a, b, forth);
    Move(b, a, home);
    char ignored[64];
    if (fds[2].revents != 0 && read(0, ignored, sizeof ignored) <= 0) break;
  }
  printf("{\"there\":%s,\"back\":%s}\n", Json(forth.counters()).c_str(), Json(home.counters()).c_str());
  return 0;
}
