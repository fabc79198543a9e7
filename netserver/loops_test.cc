// A server with several forwarding loops, on threads. The guests are the main thread, which turns the
// server's own loop, too.
#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "netserver/server_fixture.h"

namespace librettos::netserver {
namespace {

constexpr std::chrono::seconds kPatience(200);  // Far more than any test takes.

uint32_t NumberOf(const Bytes& frame) {
  uint32_t number = 0;
  for (size_t i = frame.size() - 4; i < frame.size(); ++i) number = number << 8 | uint32_t(frame[i]);
  return number;
}

Bytes Numbered(Bytes frame, uint32_t number) {
  for (size_t i = 0; i < 4; ++i) {
    frame[frame.size() - 4 + i] = static_cast<std::byte>(number >> (24 - 8 * i));
  }
  return frame;
}

uint16_t SourcePort(const Bytes& frame) { return uint16_t(uint16_t(frame[34]) << 8 | uint16_t(frame[35])); }

class LoopsTest : public ServerTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  LoopsTest() { cpus_ = GetParam(); }

  // Fragments apart, checksums are nobody's business here.
  Bytes ToNeighbour(uint8_t from, uint8_t to) {
    return Udp4(M(from), M(to), "10.1.0." + std::to_string(from), "10.1.0." + std::to_string(to), 100 + from,
                9, 32);
  }
  Bytes ToWire(uint8_t from) {
    return Udp4(M(from), kPeer, "10.1.0." + std::to_string(from), "10.1.0.200", 100 + from, 9, 32);
  }
  Bytes FromWire(uint8_t to) {
    return Udp4(kPeer, M(to), "10.1.0.200", "10.1.0." + std::to_string(to), 200, 9, 32);
  }

  // Frames that came from `port`, in their order: 0, 1, 2 and so on.
  struct Flows {
    void Take(const std::vector<Bytes>& frames) {
      for (const Bytes& frame : frames) {
        EXPECT_EQ(NumberOf(frame), next[SourcePort(frame)]) << "flow of port " << SourcePort(frame);
        next[SourcePort(frame)] = NumberOf(frame) + 1;
      }
    }
    std::map<uint16_t, uint32_t> next;
  };
  void TakeSent() {
    auto lock = nic_.StopSending();
    std::vector<Bytes> frames;
    for (auto& frame : nic_.sent()) frames.push_back(std::move(frame.bytes));
    nic_.sent().clear();
    wire_.Take(frames);
  }
  bool Patient() const { return std::chrono::steady_clock::now() - begin_ < kPatience; }
  // One step of everything. The clock goes on.
  void Turn() {
    world_.RunUntilIdle();
    server_->Step();
    nic_.Poll();
    fake::AdvanceClock(20'000);
    Yield();
  }

  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  Flows wire_;
};

TEST_P(LoopsTest, EveryFrameArrivesOnceAndInOrder) {
  constexpr uint8_t kGuests = 5;
  constexpr uint32_t kFrames = 3000;
  std::vector<TestGuest*> guests;
  for (uint8_t id = 1; id <= kGuests; ++id) guests.push_back(&AddDedicated(id, 1024));
  Activate(kServer, 1);
  std::vector<Flows> got(kGuests);
  std::vector<uint32_t> put(kGuests, 0);
  uint32_t injected = 0;
  // So that no receive ring overflows, which would be a drop by right.
  const auto all_within = [&](uint32_t number) {
    for (uint8_t i = 0; i < kGuests; ++i) {
      const auto sender = static_cast<uint16_t>(100 + (i + kGuests - 1) % kGuests + 1);
      if (number > got[i].next[sender] + 200 || number > got[i].next[200] + 200) return false;
    }
    return true;
  };
  bool done = false;
  while (!done) {
    ASSERT_TRUE(Patient()) << "wire: flow of guest 1 is at " << wire_.next[101];
    for (uint8_t i = 0; i < kGuests; ++i) {
      const uint8_t id = i + 1, next = (i + 1) % kGuests + 1;
      for (; put[i] < kFrames && all_within(put[i]); ++put[i]) {
        if (guests[i]->end().transmit(0).Space(2) < 2) break;
        ASSERT_TRUE(guests[i]->Put(Numbered(ToNeighbour(id, next), put[i])).ok());
        ASSERT_TRUE(guests[i]->Put(Numbered(ToWire(id), put[i])).ok());
      }
      guests[i]->Publish();
    }
    for (; injected < kFrames && all_within(injected); ++injected) {
      for (uint8_t id = 1; id <= kGuests; ++id) nic_.Inject(Numbered(FromWire(id), injected));
    }
    Turn();
    TakeSent();
    done = true;
    for (uint8_t i = 0; i < kGuests; ++i) {
      got[i].Take(guests[i]->Take());
      const auto sender = static_cast<uint16_t>(100 + (i + kGuests - 1) % kGuests + 1);
      done &= got[i].next[sender] == kFrames && got[i].next[200] == kFrames && wire_.next[101 + i] == kFrames;
    }
  }
}

TEST_P(LoopsTest, GuestsComeGoAndChangeWhileOthersSend) {
  TestGuest &a = AddDedicated(1, 256), &b = AddDedicated(2, 256);
  Activate(kServer, 1);
  Flows got;
  uint32_t put = 0;
  for (int round = 0; round < 60; ++round) {
    const auto id = static_cast<DomainId>(1000 + round);
    AddGuest(id, "02:00:00:00:00:03 dedicated 10.1.0.3/24");
    for (int step = 0; step < 8; ++step) {
      while (put < got.next[101] + 100 && a.end().transmit(0).Space(2) >= 2) {
        ASSERT_TRUE(a.Put(Numbered(ToNeighbour(1, 2), put)).ok());
        ASSERT_TRUE(a.Put(Numbered(ToNeighbour(1, 3), put++)).ok());
      }
      a.Publish();
      if (step == 4) {
        world_.Write(Path(kServer, "backend/vif/" + std::to_string(id) + "/0/guest"),
                     "02:00:00:00:00:03 dedicated 10.1.0.4/24");
        world_.Write(Path(kServer, "control/shared"), round % 2 ? "10.1.0.100/24" : "10.1.0.101/24");
      }
      Turn();
      got.Take(b.Take());
      if (step == 6) (void)guests_.back()->Take();
    }
    world_.Remove(Path(kServer, "backend/vif/" + std::to_string(id)));
    world_.Remove(Path(id, "device"));
    Turn();
    guests_.pop_back();
    world_.KillDomain(id);
  }
  while (got.next[101] < put) {
    ASSERT_TRUE(Patient());
    Turn();
    got.Take(b.Take());
  }
}

TEST_P(LoopsTest, AHostileGuestOnAnyLoopIsCutOffAlone) {
  std::vector<TestGuest*> guests;
  for (uint8_t id = 1; id <= 5; ++id) guests.push_back(&AddDedicated(id));
  Activate(kServer, 1);
  for (uint8_t id = 1; id <= 4; ++id) {
    guests[id - 1]->Tell(ControlType::kLeaseReply, kTcp, 80);  // For servers only.
    const std::string vif = "backend/vif/" + std::to_string(id) + "/0/";
    while (Read(kServer, vif + "state") != "6") {
      ASSERT_TRUE(Patient()) << "guest " << int{id};
      Turn();
    }
    EXPECT_EQ(Read(kServer, vif + "error"), "bad-control");
  }
  guests[4]->Send(Numbered(ToWire(5), 0));
  while (wire_.next[105] < 1) {
    ASSERT_TRUE(Patient());
    Turn();
    TakeSent();
  }
}

TEST_P(LoopsTest, APortIsLeasedToOneOfManyWhoAsk) {
  constexpr uint8_t kGuests = 4;
  constexpr uint16_t kPorts = 40, kFirst = 1000;
  std::vector<TestGuest*> guests;
  for (uint8_t id = 1; id <= kGuests; ++id) guests.push_back(&AddShared(id));
  Activate(kServer, 1);
  for (uint16_t i = 0; i < kPorts; ++i) {
    for (TestGuest* guest : guests) guest->Tell(ControlType::kLeaseRequest, kUdp, kFirst + i, i + 1);
  }
  for (;;) {
    ASSERT_TRUE(Patient());
    Turn();
    bool done = true;
    for (TestGuest* guest : guests) {
      (void)guest->Take();
      done &= guest->replies.size() == kPorts;
    }
    if (done) break;
  }
  std::map<uint16_t, int> holders;
  for (TestGuest* guest : guests) {
    for (const ControlMessage& reply : guest->replies) holders[reply.port] += reply.status == 0;
  }
  for (uint16_t i = 0; i < kPorts; ++i) EXPECT_EQ(holders[kFirst + i], 1) << "port " << kFirst + i;
}

TEST_P(LoopsTest, AFullNicLosesAndDoublesNothing) {
  constexpr uint32_t kFrames = 200;
  std::vector<TestGuest*> guests;
  for (uint8_t id = 1; id <= 4; ++id) guests.push_back(&AddDedicated(id, 512));
  Activate(kServer, 1);
  nic_.SetRoom(0);
  for (uint8_t id = 1; id <= 4; ++id) {
    for (uint32_t i = 0; i < kFrames; ++i) ASSERT_TRUE(guests[id - 1]->Put(Numbered(ToWire(id), i)).ok());
    guests[id - 1]->Publish();
  }
  for (int step = 0; step < 20; ++step) Turn();
  for (;;) {
    ASSERT_TRUE(Patient());
    nic_.SetRoom(7);
    Turn();
    TakeSent();
    bool done = true;
    for (uint16_t port = 101; port <= 104; ++port) done &= wire_.next[port] == kFrames;
    if (done) break;
  }
}

TEST_P(LoopsTest, HandsOverBetweenServersUnderTraffic) {
  constexpr uint32_t kRounds = 20;
  TestGuest &a = AddDedicated(1, 256), &b = AddDedicated(2, 256);
  second_ = Start(kServer + 1);
  Introduce(1, kServer + 1, "02:00:00:00:00:01 dedicated 10.1.0.1/24 fd00::1/64");
  Introduce(2, kServer + 1, "02:00:00:00:00:02 dedicated 10.1.0.2/24 fd00::2/64");
  Activate(kServer, 1);
  Flows got;
  uint32_t put = 0;
  const auto turn = [&] {
    for (; put < got.next[101] + 100; ++put) {
      if (!a.Put(Numbered(ToNeighbour(1, 2), put)).ok()) break;
    }
    a.Publish();
    Turn();
    second_->Step();
    got.Take(b.Take());
  };
  for (uint32_t round = 0; round < kRounds; ++round) {
    for (int step = 0; step < 10; ++step) turn();
    const uint32_t epoch = 2 + 2 * round;
    const DomainId from = kServer + round % 2, to = kServer + 1 - round % 2;
    world_.Write(Path(from, "control/role"), "quiesced " + std::to_string(epoch - 1));
    while (Read(from, "data/role") != "quiesced " + std::to_string(epoch - 1)) {
      ASSERT_TRUE(Patient());
      turn();
    }
    GiveNic(to);
    world_.Write(Path(to, "control/role"), "active " + std::to_string(epoch + 1));
    while (Read(to, "data/healthy") != std::to_string(epoch + 1)) {
      ASSERT_TRUE(Patient());
      turn();
    }
  }
  while (got.next[101] < put) {
    ASSERT_TRUE(Patient());
    turn();
  }
}

TEST_P(LoopsTest, ALoopThatHangsStopsTheHeartbeat) {
  struct Watcher final : MapObserver {
    void OnMapped(Result<Mapping*> result) override { mapping = result.value(); }
    Mapping* mapping = nullptr;
  } watcher;
  TestGuest& a = AddDedicated(1);
  Activate(kServer, 1);
  const auto ref = static_cast<GrantRef>(std::stoul(Read(kServer, "data/statistics")));
  world_.AddDomain(kControlDomain)->Map(kServer, ref, sizeof(StatisticsHeader), false, &watcher);
  world_.RunUntilIdle();
  ASSERT_NE(watcher.mapping, nullptr);
  const auto* page = reinterpret_cast<const StatisticsHeader*>(watcher.mapping->bytes().data());
  const auto beats = [&] { return page->heartbeat.load(); };
  const auto await_beat = [&] {
    const uint64_t before = beats();
    while (beats() == before && Patient()) Turn();
    return beats() != before;
  };
  ASSERT_TRUE(await_beat());
  {
    auto standstill = nic_.StopSending();
    a.Send(ToWire(1));
    // Turns that ended, or were under way, before it was told of the frame.
    const uint64_t before = beats();
    for (int step = 0; step < 2000; ++step) {
      world_.RunUntilIdle();
      server_->Step();
    }
    EXPECT_LE(beats(), before + 2);
  }
  EXPECT_TRUE(await_beat());
  watcher.mapping->Unmap();
}

INSTANTIATE_TEST_SUITE_P(Cpus, LoopsTest, ::testing::Values(2u, 4u),
                         [](const auto& info) { return std::to_string(info.param); });

}  // namespace
}  // namespace librettos::netserver
