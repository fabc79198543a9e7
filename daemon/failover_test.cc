// Start, failover, hang and back-off of network servers, against docs/protocols.md.
#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class FailoverTest : public DaemonTest {};

TEST_F(FailoverTest, FirstServerIsActivatedWhenReadyAndThenGetsAStandby) {
  CreateNic("wire");
  v1::NetworkServer response;
  ASSERT_TRUE(api_->CreateNetworkServer(ServerRequest("s", "wire"), &response).ok());
  uint32_t first = hv_.Named("servers/s");
  EXPECT_EQ(Role(first), "standby");
  EXPECT_EQ(hv_.Key(absl::StrCat("/local/domain/", first, "/control/lease-key")).size(), 32u);
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::STARTING);
  hv_.Connect(first);
  hv_.Publish(first, "data/ready", "1");
  EXPECT_EQ(Role(first), "standby") << "not all channels are connected yet";
  hv_.Publish(first, "data/ready", "2");
  EXPECT_EQ(Role(first), "active 1");
  EXPECT_EQ(hv_.creations, 1) << "the standby may wait until the first one forwards";
  TakeRole(first);
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::ACTIVE);
  EXPECT_EQ(hv_.creations, 2);
  EXPECT_FALSE(Server().status().standby_ready());
  Ready(Standby());
  EXPECT_TRUE(Server().status().standby_ready());
}

TEST_F(FailoverTest, ServerThatIsNeverReadyIsActivatedAfterASecond) {
  CreateNic("wire");
  v1::NetworkServer response;
  ASSERT_TRUE(api_->CreateNetworkServer(ServerRequest("s", "wire"), &response).ok());
  scheduler_->Advance(absl::Milliseconds(999));
  EXPECT_EQ(Role(hv_.Named("servers/s")), "standby");
  scheduler_->Advance(absl::Milliseconds(1));
  EXPECT_EQ(Role(hv_.Named("servers/s")), "active 1");
}

TEST_F(FailoverTest, StandbyTakesOverInTheSameTurn) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  uint32_t dead = Active(), standby = Standby(), guest = DomainOf("g");
  hv_.journal.clear();
  int created = hv_.creations;
  hv_.Die(dead);
  EXPECT_EQ(Active(), standby);
  EXPECT_EQ(Role(standby), "active 2");
  EXPECT_EQ(hv_.creations, created) << "starting a domain must not delay the takeover";
  int give = Journal(absl::StrCat("give wire ", standby));
  int role = Journal(absl::StrCat("write /local/domain/", standby, "/control/role active 2"));
  int forget = Journal("remove");
  ASSERT_GE(give, 0);
  ASSERT_GE(role, 0);
  EXPECT_LE(std::max(give, role), 1) << "nothing comes before the NIC and the role";
  EXPECT_GT(forget, role);
  EXPECT_FALSE(hv_.HasKey(absl::StrCat("/local/domain/", guest, "/device/vif/0/backend/", dead)));
  EXPECT_FALSE(hv_.HasKey(absl::StrCat("/local/domain/", dead, "/name")));
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::FAILING_OVER);
  scheduler_->Advance(absl::Microseconds(700));
  TakeRole(standby);
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::ACTIVE);
  EXPECT_EQ(Server().status().failovers(), 1u);
  EXPECT_EQ(Server().status().last_takeover().nanos(), 700'000);
  scheduler_->Advance(absl::Milliseconds(100));
  EXPECT_EQ(hv_.creations, created + 1) << "a new standby";
  EXPECT_EQ(hv_.Key(absl::StrCat("/local/domain/", guest, "/device/vif/0/backend/", Standby())), "1");
}

TEST_F(FailoverTest, TakeoverWritesNothingToDiskFirst) {
  CreateServer();
  auto before = std::filesystem::last_write_time(store_->path());
  uint32_t standby = Standby();
  hv_.Die(Active());
  EXPECT_EQ(Role(standby), "active 2");
  EXPECT_EQ(std::filesystem::last_write_time(store_->path()), before);
}

TEST_F(FailoverTest, WithoutAStandbyANewOneStartsAndIsActivated) {
  CreateServer();
  scheduler_->Advance(absl::Seconds(1));
  hv_.Die(Standby());
  uint32_t replacement = Standby();
  hv_.Die(Active());  // Before the replacement is ready.
  EXPECT_EQ(Active(), 0u);
  scheduler_->Advance(absl::Milliseconds(200));
  uint32_t candidate = hv_.Named("servers/s");
  ASSERT_NE(candidate, 0u);
  EXPECT_TRUE(replacement == 0 || candidate == replacement);
  Ready(candidate);
  EXPECT_EQ(Active(), candidate);
}

TEST_F(FailoverTest, HungServerIsKilledAndReplacedOnlyAfterItsDeath) {
  CreateServer();
  uint32_t hung = Active(), standby = Standby();
  scheduler_->Advance(absl::Seconds(1));
  hv_.domains[hung].beats = false;
  scheduler_->Advance(absl::Milliseconds(400));
  EXPECT_FALSE(hv_.domains[hung].dying);
  scheduler_->Advance(absl::Milliseconds(300));
  EXPECT_TRUE(hv_.domains[hung].dying);
  EXPECT_EQ(Role(standby), "standby") << "two must never forward";
  scheduler_->Advance(absl::Milliseconds(2));
  hv_.DieAll();
  EXPECT_EQ(Role(standby), "active 2");
  TakeRole(standby);
  EXPECT_GE(Server().status().last_takeover().nanos(), 2'000'000)
      << "measured from the notice, not the death";
}

TEST_F(FailoverTest, HungStandbyIsReplaced) {
  CreateServer();
  uint32_t standby = Standby();
  scheduler_->Advance(absl::Seconds(1));
  hv_.domains[standby].beats = false;
  scheduler_->Advance(absl::Seconds(1));
  hv_.DieAll();
  scheduler_->Advance(absl::Milliseconds(200));
  EXPECT_NE(Standby(), standby);
  EXPECT_NE(Standby(), 0u);
  EXPECT_EQ(Server().status().failovers(), 0u);
}

TEST_F(FailoverTest, CrashLoopIsSlowedDown) {
  CreateServer();
  scheduler_->Advance(absl::Seconds(1));
  int before = hv_.creations;
  for (int i = 0; i < 10'000; ++i) {  // 10 s in which every server dies within a millisecond.
    for (uint32_t id = hv_.Named("servers/s"); id != 0; id = hv_.Named("servers/s")) hv_.Die(id);
    scheduler_->Advance(absl::Milliseconds(1));
  }
  // 0.1 + 0.2 + 0.4 + … + 6.4 s is more than 10 s.
  EXPECT_LE(hv_.creations - before, 10);
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::DEGRADED);
  scheduler_->Advance(absl::Seconds(11));
  EXPECT_NE(hv_.Named("servers/s"), 0u) << "it is tried again by itself";
}

TEST_F(FailoverTest, LongLivedServersAreReplacedWithoutDelay) {
  CreateServer();
  for (int i = 0; i < 20; ++i) {
    scheduler_->Advance(absl::Milliseconds(400));
    uint32_t standby = Standby();
    hv_.Die(Active());
    ASSERT_EQ(Active(), standby);
    TakeRole(standby);
    ASSERT_NE(Standby(), 0u) << i;
    Ready(Standby());
  }
  EXPECT_EQ(Server().status().failovers(), 20u);
}

TEST_F(FailoverTest, FailedRoleIsADeath) {
  CreateServer();
  uint32_t active = Active(), standby = Standby();
  hv_.Publish(active, "data/role", "failed no-nic");
  EXPECT_TRUE(hv_.domains[active].dying);
  hv_.DieAll();
  EXPECT_EQ(Active(), standby);
}

TEST_F(FailoverTest, WhatAServerWritesIsNotTrusted) {
  CreateServer();
  uint32_t standby = Standby();
  hv_.Publish(standby, "data/role", "active 999");
  hv_.Publish(standby, "data/healthy", "999999999999999999999");
  hv_.Publish(standby, "data/ready", std::string(1000, '2'));
  EXPECT_NE(Active(), standby);
  EXPECT_FALSE(Server().status().standby_ready());
}

TEST_F(FailoverTest, EpochsGrowAlsoOverRestartsOfTheDaemon) {
  CreateServer();
  uint32_t epoch = Server().status().epoch();
  Restart();
  hv_.Die(Active());
  scheduler_->Advance(absl::Seconds(2));
  EXPECT_GT(Server().status().epoch(), epoch);
}

TEST_F(FailoverTest, ServerThatCannotBeStartedIsTriedAgain) {
  CreateNic("wire");
  hv_.fail_create = true;
  v1::NetworkServer response;
  ASSERT_TRUE(api_->CreateNetworkServer(ServerRequest("s", "wire"), &response).ok());
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::DEGRADED);
  EXPECT_NE(Server().status().message(), "");
  hv_.fail_create = false;
  scheduler_->Advance(absl::Seconds(1));
  EXPECT_NE(hv_.Named("servers/s"), 0u);
}

TEST_F(FailoverTest, NoStandbyIfNoneIsWanted) {
  CreateNic("wire");
  v1::CreateNetworkServerRequest request = ServerRequest("s", "wire");
  request.mutable_network_server()->mutable_spec()->set_standby(false);
  v1::NetworkServer response;
  ASSERT_TRUE(api_->CreateNetworkServer(request, &response).ok());
  Ready(hv_.Named("servers/s"));
  TakeRole(Active());
  scheduler_->Advance(absl::Seconds(5));
  EXPECT_EQ(hv_.creations, 1);
}

}  // namespace
}  // namespace librettos::daemon
