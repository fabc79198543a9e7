// Every interleaving of the two sides of a ring that sleep whenever they have nothing to do, over the code of
// ring.cc: no wake-up is lost, and no frame, though the server dies at any step and a successor takes up.
//
// What guest_end.cc and server_end.cc do around a ring is repeated here, as far as it decides who is woken:
// the guest rings the server that Header::server names; a server writes itself there when it takes up the
// rings (ServerEnd::Activate), and then rings each guest once (Server::Greet).
//
// Compiled with LIBRETTOS_MUTANT the ring.cc below is one that was broken on purpose (bazel/mutant.bzl): then
// the explorer must find it.
#include <gtest/gtest.h>

#include <new>

#include "guest/channel/explorer/machine.h"

namespace librettos::channel::explorer {
namespace {

#ifdef LIBRETTOS_MUTANT
constexpr bool kMutant = true;
#else
constexpr bool kMutant = false;
#endif

using Index = uint8_t;

// Whom a server rings that has taken up the rings.
enum class Greets : uint8_t { kAll, kBusy, kNobody };

struct Case {
  uint8_t frames = 3;
  uint8_t batch = 1;             // Frames published, and consumed, at once.
  bool drains = false;           // A producer then waits for the consumer to be done with all.
  Greets greets = Greets::kAll;  // kBusy: guests whose ring holds something.
  bool reads_server = true;      // The guest looks who serves it whenever it rings.
  bool consumes_before = false;  // The effect comes after the commit.
};

Shared& Memory() { return Machine::instance().shared(); }

// Rings the other side, as this one does.
void RingPeer(Side own, const Case& of) {
  if (own == kServer) return Machine::instance().Ring(&Memory().rung_guest);
  const uint32_t server = of.reads_server ? Memory().server.load(std::memory_order_relaxed) : 1;
  // None known: all that are connected. In these tests that is the one that is about to take up the rings.
  Machine::instance().Ring(&Memory().rung_server[server ? server : Memory().incarnation]);
}

bool* OwnBell(Side own, uint8_t incarnation) {
  return own == kGuest ? &Memory().rung_guest : &Memory().rung_server[incarnation];
}

// What a server does before anything else; of the rest of Activate what is not the ring's.
void TakeUp(uint8_t incarnation) {
  Memory().server.store(0, std::memory_order_release);
  Memory().server.store(incarnation, std::memory_order_release);
}

bool IsGreeted(const Case& of, bool busy) {
  return of.greets == Greets::kAll || (of.greets == Greets::kBusy && busy);
}

class Sender final : public Program {
 public:
  Sender(Side side, const Case& of) : side_(side), case_(of), incarnation_(Memory().incarnation) {}
  bool finished() const override { return phase_ == Phase::kFinished; }

  void Iterate() override {
    switch (phase_) {
      case Phase::kStart:
        if (ring_.Attach(Machine::instance().view()) != Violation::kNone)
          return Machine::instance().Find("attach");
        // Frame i is entry i.
        sent_ = static_cast<uint8_t>(Memory().control.producer.index.value - start);
        phase_ = side_ == kServer ? Phase::kTakeUp : Phase::kPut;
        return;
      case Phase::kTakeUp:
        TakeUp(incarnation_);
        phase_ = Phase::kGreet;
        return;
      case Phase::kGreet:
        if (IsGreeted(case_, !ring_.Drained())) RingPeer(side_, case_);
        phase_ = Phase::kPut;
        return;
      case Phase::kPut: {
        if (sent_ >= case_.frames) {
          phase_ = Phase::kDrain;
          return;
        }
        std::byte bytes[kEthernetHeaderBytes] = {std::byte{sent_}};
        const Part part = {bytes, sizeof(bytes)};
        if (ring_.Put({{&part, 1}, sizeof(bytes), {}}).ok()) {
          if (++sent_ % case_.batch == 0 || sent_ == case_.frames) phase_ = Phase::kPublish;
        } else {
          phase_ = Phase::kArm;
        }
        return;
      }
      case Phase::kPublish:
        if (ring_.Publish()) RingPeer(side_, case_);
        phase_ = Phase::kPut;
        return;
      case Phase::kArm:
        // What was put and not published would never be consumed.
        if (ring_.Publish()) RingPeer(side_, case_);
        phase_ = ring_.ArmEvent(1) ? Phase::kSleep : Phase::kPut;
        return;
      case Phase::kDrain:
        if (!case_.drains || ring_.Drained()) {
          phase_ = Phase::kFinished;
          return;
        }
        phase_ = ring_.ArmEvent(kEntries) ? Phase::kSleep : Phase::kDrain;
        return;
      case Phase::kSleep:
        Machine::instance().Sleep(OwnBell(side_, incarnation_));
        ring_.DisarmEvent();
        phase_ = Phase::kPut;
        return;
      case Phase::kFinished:
        return;
    }
  }

  static uint8_t start;

 private:
  enum class Phase : uint8_t {
    kStart,
    kTakeUp,
    kGreet,
    kPut,
    kPublish,
    kArm,
    kDrain,
    kSleep,
    kFinished,
  };
  const Side side_;
  const Case case_;
  const uint8_t incarnation_;
  Phase phase_ = Phase::kStart;
  uint8_t sent_ = 0;
  Producer<Index> ring_;
};
uint8_t Sender::start = 0;

class Receiver final : public Program {
 public:
  Receiver(Side side, const Case& of) : side_(side), case_(of), incarnation_(Memory().incarnation) {}

  void Iterate() override {
    switch (phase_) {
      case Phase::kStart:
        if (ring_.Attach(Machine::instance().view()) != Violation::kNone)
          return Machine::instance().Find("attach");
        phase_ = side_ == kServer ? Phase::kTakeUp : Phase::kLook;
        return;
      case Phase::kTakeUp:
        TakeUp(incarnation_);
        phase_ = Phase::kGreet;
        return;
      case Phase::kGreet:
        if (IsGreeted(case_, ring_.Pending() != 0)) RingPeer(side_, case_);
        phase_ = Phase::kLook;
        return;
      case Phase::kLook: {
        static Received received;
        if (ring_.Peek(received)) {
          last_ = static_cast<uint8_t>(received.header[0]);
          if (!case_.consumes_before) Deliver(last_);
          if (++looked_ == case_.batch) phase_ = Phase::kCommit;
        } else if (ring_.violation() != Violation::kNone) {
          Machine::instance().Find(std::string("violation: ") + ToString(ring_.violation()));
        } else {
          phase_ = looked_ ? Phase::kCommit : Phase::kArm;
        }
        return;
      }
      case Phase::kCommit:
        if (ring_.Commit(looked_)) RingPeer(side_, case_);
        looked_ = 0;
        phase_ = case_.consumes_before ? Phase::kLate : Phase::kLook;
        return;
      case Phase::kLate:
        Deliver(last_);
        phase_ = Phase::kLook;
        return;
      case Phase::kArm:
        phase_ = ring_.ArmEvent() ? Phase::kSleep : Phase::kLook;
        return;
      case Phase::kSleep:
        Machine::instance().Sleep(OwnBell(side_, incarnation_));
        ring_.DisarmEvent();
        phase_ = Phase::kLook;
        return;
    }
  }

 private:
  enum class Phase : uint8_t { kStart, kTakeUp, kGreet, kLook, kCommit, kLate, kArm, kSleep };

  static void Deliver(uint8_t frame) {
    uint8_t& delivered = Memory().delivered;
    if (frame > delivered) {
      Machine::instance().Find("frame " + std::to_string(frame) + " after " + std::to_string(delivered) +
                               " frames");
    }
    if (frame == delivered) ++delivered;  // If not, it is seen again, by a successor.
  }

  const Side side_;
  const Case case_;
  const uint8_t incarnation_;
  Phase phase_ = Phase::kStart;
  uint8_t looked_ = 0;
  uint8_t last_ = 0;
  Consumer<Index> ring_;
};

// The guest sends, or the server.
Machine::Result Explore(Side sender, const Case& of, uint32_t deaths) {
  static_assert(sizeof(Sender) <= Machine::kProgramBytes && sizeof(Receiver) <= Machine::kProgramBytes);
  Sender::start = 254;  // The indices wrap on the way.
  Machine machine(
      {.deaths = deaths, .start = Sender::start},
      [&](Side side, std::byte* at) -> Program* {
        if (side == sender) return new (at) Sender(side, of);
        return new (at) Receiver(side, of);
      },
      [&](const Shared& shared, const Program& guest, const Program& server) -> std::string {
        if (shared.delivered != of.frames) {
          return "all sleep, and " + std::to_string(shared.delivered) + " of " + std::to_string(of.frames) +
                 " frames were delivered";
        }
        if (!(sender == kGuest ? guest : server).finished()) return "the sender sleeps for ever";
        return {};
      });
  Machine::Result result = machine.Explore();
  std::printf("%zu states, %zu ends%s%s\n", result.states, result.ends, result.finding.empty() ? "" : ": ",
              result.finding.c_str());
  return result;
}

void ExpectRight(Side sender, const Case& of, uint32_t deaths) {
  const Machine::Result result = Explore(sender, of, deaths);
  EXPECT_EQ(result.finding, "") << result.trace;
  EXPECT_GT(result.ends, 0u);
}
void ExpectFound(Side sender, const Case& of, uint32_t deaths) {
  EXPECT_NE(Explore(sender, of, deaths).finding, "") << "the explorer is blind for this";
}

struct Scenario {
  const char* name;
  Side sender;
  Case of;
  uint32_t deaths;
};
const Scenario kScenarios[] = {
    {"GuestSends", kGuest, {.frames = 4}, 0},
    {"GuestSendsInBatches", kGuest, {.frames = 4, .batch = 2}, 0},
    {"GuestDrains", kGuest, {.frames = 3, .drains = true}, 0},
    {"GuestSendsAndServersDie", kGuest, {.frames = 3}, 2},
    {"GuestDrainsAndServersDie", kGuest, {.frames = 3, .batch = 2, .drains = true}, 2},
    {"ServerSends", kServer, {.frames = 4}, 0},
    {"ServerSendsInBatches", kServer, {.frames = 4, .batch = 2}, 0},
    {"ServerSendsAndDies", kServer, {.frames = 3}, 2},
    {"ServerSendsInBatchesAndDies", kServer, {.frames = 3, .batch = 2}, 2},
};

// Of a mutant, one scenario at least must find it.
TEST(WakeupTest, MutantIsFound) {
  if (!kMutant) GTEST_SKIP() << "not a mutant";
  for (const Scenario& scenario : kScenarios) {
    const Machine::Result result = Explore(scenario.sender, scenario.of, scenario.deaths);
    if (result.finding.empty()) continue;
    std::printf("%s: %s\n%s", scenario.name, result.finding.c_str(), result.trace.c_str());
    return;
  }
  FAIL() << "the explorer is blind for this mutant";
}

class Right : public testing::TestWithParam<Scenario> {};
TEST_P(Right, NothingIsLost) {
  if (kMutant) GTEST_SKIP() << "a mutant";
  ExpectRight(GetParam().sender, GetParam().of, GetParam().deaths);
}
INSTANTIATE_TEST_SUITE_P(Wakeup, Right, testing::ValuesIn(kScenarios),
                         [](const auto& info) { return info.param.name; });

// What the ends of a channel must do around the rings, left out.
TEST(WakeupTest, ASuccessorThatDoesNotRingIsFound) {
  if (kMutant) GTEST_SKIP() << "a mutant";
  ExpectFound(kServer, {.frames = 1, .greets = Greets::kNobody}, 1);
}
// A guest that waits for its ring to be drained: the predecessor had consumed the last frame, and died before
// it rang.
TEST(WakeupTest, ASuccessorThatRingsOnlyTheBusyIsFound) {
  if (kMutant) GTEST_SKIP() << "a mutant";
  ExpectFound(kGuest, {.frames = 2, .drains = true, .greets = Greets::kBusy}, 1);
}
TEST(WakeupTest, AGuestThatRingsThePredecessorIsFound) {
  if (kMutant) GTEST_SKIP() << "a mutant";
  ExpectFound(kGuest, {.frames = 2, .reads_server = false}, 1);
}
TEST(WakeupTest, AServerThatConsumesBeforeTheEffectIsFound) {
  if (kMutant) GTEST_SKIP() << "a mutant";
  ExpectFound(kGuest, {.frames = 2, .consumes_before = true}, 1);
}

}  // namespace
}  // namespace librettos::channel::explorer
