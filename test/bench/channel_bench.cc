// How fast a channel's rings are with all checks on, beside a raw ring without any, in the same run.
//
// Two processes over one shared mapping, one pinned to each of the first two allowed CPUs. Rates are given
// per repetition as p50 and max, because the machine is shared; latencies as p50, p99 and max of single round
// trips. bazel run //test/bench:channel [-- seconds per measurement]
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "guest/channel/ring.h"
#include "test/tools/measure.h"

namespace {

using librettos::OutFrame;
using librettos::Part;
using librettos::channel::Consumer;
using librettos::channel::Descriptor;
using librettos::channel::Producer;
using librettos::channel::Received;
using librettos::channel::RingControl;
using librettos::channel::RingView;
using librettos::channel::Violation;
using librettos::test::Clock;
using librettos::test::kSecond;
using librettos::test::Percentile;

constexpr uint32_t kEntries = 1024;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kBatch = 32;
constexpr size_t kRingBytes = 4096 + kEntries * sizeof(Descriptor) + size_t{kEntries} * kSlotBytes;

// What a wait for the other process does between two looks.
void Pause() { __builtin_ia32_pause(); }

struct Shared {
  alignas(64) std::atomic<uint32_t> stop;
  alignas(64) std::atomic<uint64_t> taken;
  std::atomic<uint64_t> sent;
  alignas(64) std::atomic<uint32_t> raw_head;
  alignas(64) std::atomic<uint32_t> raw_tail;
};

class World {
 public:
  World() : bytes_(4096 + 2 * kRingBytes) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) Die("mmap");
    memory_ = static_cast<std::byte*>(memory);
    for (size_t i = 0; i < bytes_; i += 4096)
      memory_[i] = std::byte{0};  // No page faults in what is measured.
    for (int& event : events_) event = eventfd(0, 0);
  }
  ~World() {
    munmap(memory_, bytes_);
    for (int event : events_) close(event);
  }

  Shared& shared() { return *reinterpret_cast<Shared*>(memory_); }
  RingView ring(int which) {
    std::byte* base = memory_ + 4096 + static_cast<size_t>(which) * kRingBytes;
    RingView view;
    view.control = reinterpret_cast<RingControl*>(base);
    view.descriptors = reinterpret_cast<Descriptor*>(base + sizeof(RingControl));
    view.slots = base + 4096 + kEntries * sizeof(Descriptor);
    view.entries = kEntries;
    view.slot_bytes = kSlotBytes;
    return view;
  }
  void Ring(int which) {
    const uint64_t one = 1;
    if (write(events_[which], &one, sizeof(one)) != sizeof(one)) Die("write to an eventfd");
  }
  void Sleep(int which) {
    uint64_t count;
    if (read(events_[which], &count, sizeof(count)) != sizeof(count)) Die("read from an eventfd");
  }

  // Runs `peer` in a process of its own on the second CPU while `self` runs here on the first.
  void Run(const std::function<void()>& self, const std::function<void()>& peer) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) Die("fork");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      Pin(1);
      peer();
      _exit(0);
    }
    Pin(0);
    self();
    shared().stop = 1;
    Ring(1);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) Die("the other process ended badly");
  }

  [[noreturn]] static void Die(const char* what) {
    std::perror(what);
    std::exit(1);
  }

 private:
  // To the n-th CPU that this process may use, or wherever there is one.
  static void Pin(int n) {
    static const cpu_set_t allowed = [] {
      cpu_set_t set;
      sched_getaffinity(0, sizeof(set), &set);
      return set;
    }();
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed) || n-- > 0) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof(one), &one);
      return;
    }
  }

  size_t bytes_;
  std::byte* memory_;
  int events_[2];
};

// ---- Rate ------------------------------------------------------------------------------------------------

void SendChecked(World& world, uint32_t length, uint64_t until) {
  Producer<> producer;
  if (producer.Attach(world.ring(0)) != Violation::kNone) World::Die("attach");
  std::vector<std::byte> bytes(length, std::byte{0x5a});
  const Part part = {bytes.data(), length};
  OutFrame frame;
  frame.parts = {&part, 1};
  frame.length = length;
  uint64_t sent = 0;
  while (Clock() < until) {
    for (int turn = 0; turn < 64; ++turn) {
      for (uint32_t i = 0; i < kBatch; ++i, ++sent) {
        if (!producer.Put(frame).ok()) {
          Pause();
          break;
        }
      }
      if (producer.Publish()) World::Die("an event that nobody wanted");
    }
  }
  while (!producer.Drained()) Pause();
  world.shared().sent = sent;
}

void TakeChecked(World& world, uint32_t length) {
  Consumer<> consumer;
  if (consumer.Attach(world.ring(0)) != Violation::kNone) World::Die("attach");
  auto received = std::make_unique<Received>();
  std::vector<std::byte> out(length);
  uint64_t taken = 0;
  while (!world.shared().stop.load(std::memory_order_relaxed)) {
    uint32_t entries = 0;
    for (uint32_t i = 0; i < kBatch && consumer.Peek(*received); ++i) {
      received->CopyTo(out.data());
      asm volatile("" : : "r"(out.data()) : "memory");
      entries += received->entries;
    }
    if (entries == 0) {
      Pause();
      continue;
    }
    if (consumer.Commit(entries)) World::Die("an event that nobody wanted");
    taken += entries;
  }
  if (consumer.violation() != Violation::kNone) std::exit(1);
  world.shared().taken = taken;
}

// The floor: slot copies and two indices, nothing looked at.
void SendRaw(World& world, uint32_t length, uint64_t until) {
  Shared& shared = world.shared();
  std::byte* slots = world.ring(0).slots;
  std::vector<std::byte> bytes(length, std::byte{0x5a});
  uint32_t head = 0, tail = 0;
  uint64_t sent = 0;
  while (Clock() < until) {
    for (int turn = 0; turn < 64; ++turn) {
      for (uint32_t i = 0; i < kBatch; ++i) {
        if (head - tail == kEntries) tail = shared.raw_tail.load(std::memory_order_acquire);
        if (head - tail == kEntries) {
          Pause();
          break;
        }
        std::memcpy(slots + size_t{head & (kEntries - 1)} * kSlotBytes, bytes.data(), length);
        ++head;
        ++sent;
      }
      shared.raw_head.store(head, std::memory_order_release);
    }
  }
  while (shared.raw_tail.load(std::memory_order_acquire) != head) Pause();
  shared.sent = sent;
}

void TakeRaw(World& world, uint32_t length) {
  Shared& shared = world.shared();
  const std::byte* slots = world.ring(0).slots;
  std::vector<std::byte> out(length);
  uint32_t tail = 0;
  uint64_t taken = 0;
  while (!shared.stop.load(std::memory_order_relaxed)) {
    uint32_t count = std::min(shared.raw_head.load(std::memory_order_acquire) - tail, kBatch);
    if (count == 0) {
      Pause();
      continue;
    }
    taken += count;
    for (; count; --count, ++tail) {
      std::memcpy(out.data(), slots + size_t{tail & (kEntries - 1)} * kSlotBytes, length);
      asm volatile("" : : "r"(out.data()) : "memory");
    }
    shared.raw_tail.store(tail, std::memory_order_release);
  }
  shared.taken = taken;
}

double Rate(bool checked, uint32_t length, double seconds) {
  World world;
  uint64_t begin = 0, end = 0;
  world.Run(
      [&] {
        begin = Clock();
        const uint64_t until = begin + static_cast<uint64_t>(seconds * kSecond);
        if (checked) {
          SendChecked(world, length, until);
        } else {
          SendRaw(world, length, until);
        }
        end = Clock();
      },
      [&] { checked ? TakeChecked(world, length) : TakeRaw(world, length); });
  if (world.shared().sent != world.shared().taken) World::Die("frames sent and frames taken differ");
  return static_cast<double>(world.shared().taken) / (static_cast<double>(end - begin) / kSecond);
}

// ---- Round trip ------------------------------------------------------------------------------------------

// One end that sends into one ring and takes from the other.
class End {
 public:
  End(World& world, int which, bool sleeps) : world_(world), which_(which), sleeps_(sleeps) {
    if (producer_.Attach(world.ring(which)) != Violation::kNone ||
        consumer_.Attach(world.ring(1 - which)) != Violation::kNone) {
      World::Die("attach");
    }
  }
  void Send() {
    const Part part = {bytes_, sizeof(bytes_)};
    OutFrame frame;
    frame.parts = {&part, 1};
    frame.length = sizeof(bytes_);
    if (!producer_.Put(frame).ok()) World::Die("no room");
    if (producer_.Publish()) world_.Ring(1 - which_);
  }
  // False: told to stop.
  bool Take() {
    while (!consumer_.Peek(*received_)) {
      if (which_ == 1 && world_.shared().stop.load(std::memory_order_relaxed)) return false;
      if (sleeps_ && consumer_.ArmEvent()) {
        world_.Sleep(which_);
        consumer_.DisarmEvent();
      }
    }
    if (consumer_.Commit(received_->entries)) world_.Ring(1 - which_);
    return true;
  }

 private:
  World& world_;
  const int which_;
  const bool sleeps_;
  std::byte bytes_[64] = {};
  Producer<> producer_;
  Consumer<> consumer_;
  std::unique_ptr<Received> received_ = std::make_unique<Received>();
};

std::vector<uint64_t> RoundTrips(bool sleeps, double seconds) {
  World world;
  std::vector<uint64_t> times;
  times.reserve(1 << 23);
  world.Run(
      [&] {
        End end(world, 0, sleeps);
        const uint64_t until = Clock() + static_cast<uint64_t>(seconds * kSecond);
        uint64_t before = Clock();
        while (before < until && times.size() < times.capacity()) {
          end.Send();
          (void)end.Take();
          const uint64_t after = Clock();
          times.push_back(after - before);
          before = after;
        }
      },
      [&] {
        End end(world, 1, sleeps);
        while (end.Take()) end.Send();
      });
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.5;
  constexpr int kRepetitions = 11;
  if (seconds <= 0) {
    std::fprintf(stderr, "usage: %s [seconds per measurement, default 0.5]\n", argv[0]);
    return 2;
  }
  std::printf("channel: %u entries, slots of %u, batches of %u, %d repetitions of %g s\n\n", kEntries,
              kSlotBytes, kBatch, kRepetitions, seconds);
  // The two take turns, and the ratio is that of neighbours: what a line costs from one virtual CPU to the
  // other can change manyfold within seconds, so that figures taken one after the other do not compare.
  std::printf("%-22s %12s %12s %12s %12s\n", "rate", "min Mpps", "p50 Mpps", "max Mpps", "p50 Gb/s");
  for (uint32_t length : {64u, 1500u}) {
    std::vector<double> rates[2], ratios;
    for (int i = 0; i < kRepetitions; ++i) {
      for (bool checked : {false, true}) rates[checked].push_back(Rate(checked, length, seconds));
      ratios.push_back(rates[true].back() / rates[false].back());
    }
    for (bool checked : {true, false}) {
      std::vector<double>& sorted = rates[checked];
      std::sort(sorted.begin(), sorted.end());
      const double p50 = Percentile(sorted, 0.5);
      std::printf("%-6s %4u bytes      %12.2f %12.2f %12.2f %12.1f\n", checked ? "ring" : "raw", length,
                  sorted.front() / 1e6, p50 / 1e6, sorted.back() / 1e6, p50 * length * 8 / kSecond);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("ring / raw             %12.2f %12.2f %12.2f\n", ratios.front(), Percentile(ratios, 0.5),
                ratios.back());
  }
  std::printf("\n%-22s %12s %12s %12s %12s\n", "round trip, 64 bytes", "p50 ns", "p99 ns", "max ns", "trips");
  for (bool sleeps : {false, true}) {
    const std::vector<uint64_t> times = RoundTrips(sleeps, seconds * 5);
    if (times.empty()) return 1;
    std::printf("%-22s %12lu %12lu %12lu %12zu\n", sleeps ? "asleep (eventfd)" : "polling",
                Percentile(times, 0.5), Percentile(times, 0.99), times.back(), times.size());
  }
  return 0;
}
