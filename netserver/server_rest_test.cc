// What guests that waste the server's time get of it, and that nothing of their own is lost by that.
#include <gtest/gtest.h>

#include "netserver/server_fixture.h"

namespace librettos::netserver {
namespace {

class ServerRestTest : public ServerTest, private MapObserver {
 protected:
  static constexpr uint32_t kEntries = 2048;

  Bytes Spoofed() { return Udp4(M(7), kPeer, "10.1.0.1", "10.1.0.200", 1, 9); }
  Bytes Broadcast() { return Udp4(M(1), kBroadcast, "10.1.0.1", "10.1.0.255", 1, 9); }
  void Fill(TestGuest& guest, const Bytes& frame, int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(guest.Put(frame).ok()) << i;
    guest.Publish();
  }
  // Steps for as long as the server has something to do without a rest.
  void RunWithoutTime(int steps) {
    for (int i = 0; i < steps; ++i) {
      world_.RunUntilIdle();
      server_->Step();
      fake::AdvanceClock(10);
    }
  }
  // Of the server's row for the guest, as the daemon reads it.
  uint64_t Counted(DomainId guest, Counter counter) {
    if (!page_) {
      const std::string ref = Read(kServer, "data/statistics");
      world_.AddDomain(kControlDomain)
          ->Map(kServer, static_cast<GrantRef>(std::stoul(ref)), StatisticsBytes(1 + kMaxGuests), false,
                this);
      world_.RunUntilIdle();
    }
    const auto* rows =
        reinterpret_cast<const StatisticsRow*>(page_->bytes().data() + sizeof(StatisticsHeader));
    for (uint32_t i = 1; i <= kMaxGuests; ++i) {
      if (rows[i].key.load() == uint64_t{guest} + 1)
        return rows[i].values[static_cast<size_t>(counter)].load();
    }
    ADD_FAILURE() << "no row of guest " << guest;
    return 0;
  }

 private:
  void OnMapped(Result<Mapping*> mapping) override { page_ = mapping.value(); }
  Mapping* page_ = nullptr;
};

TEST_F(ServerRestTest, WhoSendsNothingButWasteRests) {
  TestGuest& a = AddDedicated(1, kEntries);
  Activate(kServer, 1);
  Fill(a, Spoofed(), kEntries);
  RunWithoutTime(200);
  EXPECT_FALSE(a.Drained());
  EXPECT_EQ(Counted(1, Counter::k_rests), 1u);
  // Not all at once, but all: the rest ends, and is taken again.
  for (int i = 0; i < 100 && !a.Drained(); ++i) {
    fake::AdvanceClock(Allowance::kMaxRest);
    RunWithoutTime(10);
  }
  EXPECT_TRUE(a.Drained());
  EXPECT_EQ(Counted(1, Counter::k_spoofed_mac), kEntries);
  EXPECT_GT(Counted(1, Counter::k_rests), 1u);
}

TEST_F(ServerRestTest, ItsNeighbourDoesNot) {
  TestGuest& a = AddDedicated(1, kEntries);
  TestGuest& b = AddDedicated(2, kEntries);
  Activate(kServer, 1);
  Fill(a, Spoofed(), kEntries);
  RunWithoutTime(200);
  Fill(b, Out(2), 100);
  RunWithoutTime(50);
  EXPECT_FALSE(a.Drained());
  EXPECT_TRUE(b.Drained());
  EXPECT_EQ(Counted(2, Counter::k_rests), 0u);
}

TEST_F(ServerRestTest, GoodTrafficNeverRests) {
  TestGuest& a = AddDedicated(1, kEntries);
  Activate(kServer, 1);
  nic_.SetRoom(20 * kEntries);
  for (int i = 0; i < 10; ++i) {
    Fill(a, Out(1), kEntries);
    RunWithoutTime(200);
    ASSERT_TRUE(a.Drained()) << i;
  }
  EXPECT_EQ(Counted(1, Counter::k_rests), 0u);
}

TEST_F(ServerRestTest, DoorbellsForNothingAreNotHeardForAWhile) {
  TestGuest& a = AddDedicated(1, kEntries);
  Activate(kServer, 1);
  for (int i = 0; i < 1000; ++i) {
    a.end().Signal(0);
    RunWithoutTime(1);
  }
  EXPECT_LT(Counted(1, Counter::k_events_received), 200u);
  EXPECT_EQ(Counted(1, Counter::k_rests), 1u);
  // What is sent meanwhile goes out after the rest, though its doorbell was lost.
  Fill(a, Out(1), 1);
  RunWithoutTime(20);
  EXPECT_FALSE(a.Drained());
  fake::AdvanceClock(Allowance::kMaxRest);
  RunWithoutTime(20);
  EXPECT_TRUE(a.Drained());
  // And its doorbell is heard again.
  fake::AdvanceClock(1'000'000'000);
  Run();
  Fill(a, Out(1), 1);
  Run();
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerRestTest, TheSuccessorHearsWhoRested) {
  TestGuest& a = AddDedicated(1, kEntries);
  Activate(kServer, 1);
  Fill(a, Spoofed(), kEntries);
  RunWithoutTime(200);
  ASSERT_FALSE(a.Drained());
  // The same server, activated anew: as if it had never rested.
  world_.Write(Path(kServer, "control/role"), "active 2");
  for (int i = 0; i < 100; ++i) {
    fake::AdvanceClock(Allowance::kMaxRest);
    RunWithoutTime(10);
  }
  ASSERT_TRUE(a.Drained());
  Fill(a, Out(1), 1);
  Run();
  EXPECT_TRUE(a.Drained());
}

TEST_F(ServerRestTest, FloodsBeyondTheLimitReachNobody) {
  TestGuest& a = AddDedicated(1, kEntries);
  TestGuest& b = AddDedicated(2, 4096);
  Activate(kServer, 1);
  nic_.SetRoom(4 * kEntries);
  b.Take();
  Fill(a, Broadcast(), kEntries);
  RunWithoutTime(200);
  uint64_t limited = Counted(1, Counter::k_flood_limited);
  EXPECT_GT(limited, 0u);
  EXPECT_NEAR(static_cast<double>(limited), kEntries - Allowance::kFloodBurst, 2);
  EXPECT_EQ(b.Take().size(), kEntries - limited);
  EXPECT_EQ(nic_.sent().size(), kEntries - limited);
}

TEST_F(ServerRestTest, LeasesThatComeAndGoWithoutEndRest) {
  TestGuest& s = AddGuest(3, "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64", kEntries);
  Activate(kServer, 1);
  fake::AdvanceClock(2 * Server::kReclaimPeriod);
  Run();
  for (int round = 0; round < 10; ++round) {
    for (uint32_t i = 0; i < 500; ++i) s.Tell(ControlType::kLeaseRequest, kTcp, 80, 1 + i);
    RunWithoutTime(400);
    s.Take();
  }
  EXPECT_EQ(Counted(3, Counter::k_lease_refusals), 0u);
  EXPECT_GT(Counted(3, Counter::k_rests), 0u);
}

}  // namespace
}  // namespace librettos::netserver
