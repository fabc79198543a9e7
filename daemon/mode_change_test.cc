// Guests: start, restart, keys, and mode changes with every way they can fail.
#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class ModeChangeTest : public DaemonTest {
 protected:
  absl::Status SetMode(v1::Mode mode, v1::Operation* operation) {
    v1::SetGuestModeRequest request;
    request.set_name("guests/g");
    request.set_mode(mode);
    return api_->SetGuestMode(request, operation);
  }
  std::string Begin(v1::Mode mode) {
    v1::Operation operation;
    absl::Status status = SetMode(mode, &operation);
    EXPECT_TRUE(status.ok()) << status;
    return operation.name();
  }
  void CreateAll() {
    CreateServer();
    CreateNic("direct");
    CreateGuest("g", "10.1.0.5/24");
    domain_ = DomainOf("g");
  }
  std::string Control() { return hv_.Key(absl::StrCat("/local/domain/", domain_, "/control/mode")); }
  uint32_t Change() { return controller_->model.FindGuest("guests/g")->change().number(); }
  void Report(const std::string& mode, uint32_t change, const std::string& rest) {
    hv_.Publish(domain_, "data/mode", absl::StrCat(mode, " ", change, " ", rest));
  }
  void GoDirect() {
    Begin(v1::DIRECT);
    Report("direct", Change(), "100 0");
    ASSERT_EQ(Guest("g").status().mode(), v1::DIRECT);
  }
  v1::NicStatus NicStatus() { return controller_->nics.View("nics/direct").status(); }
  uint32_t domain_ = 0;
};

TEST_F(ModeChangeTest, GuestGetsItsKeys) {
  CreateAll();
  std::string vif = absl::StrCat("/local/domain/", domain_, "/device/vif/0/");
  EXPECT_EQ(hv_.Key(vif + "addresses"), "10.1.0.5/24");
  EXPECT_EQ(hv_.Key(vif + "mac").size(), 17u);
  EXPECT_EQ(hv_.Key(vif + "mtu"), "1500");
  EXPECT_EQ(hv_.Key(vif + "shared"), "0");
  EXPECT_EQ(hv_.Key(vif + "queue-pairs"), "1");
  EXPECT_EQ(hv_.Key(absl::StrCat(vif, "backend/", Active())), "1");
  EXPECT_EQ(hv_.Key(absl::StrCat(vif, "backend/", Standby())), "1");
  std::string backend = absl::StrCat("/local/domain/", Active(), "/backend/vif/", domain_, "/0");
  EXPECT_EQ(hv_.Key(backend + "/guest"), absl::StrCat(hv_.Key(vif + "mac"), " dedicated 10.1.0.5/24"));
  EXPECT_TRUE(hv_.reserved.contains(vif + "mac"));
  EXPECT_TRUE(hv_.readers.contains({backend + "/state", domain_}));
  EXPECT_TRUE(hv_.readers.contains({absl::StrCat(vif, "frontend/", Active()), Active()}));
  EXPECT_EQ(Guest("g").status().state(), v1::GuestStatus::RUNNING);
}

TEST_F(ModeChangeTest, WhatAGuestSaysOfItsServerIsShown) {
  CreateAll();
  hv_.Publish(domain_, "data/violation", "2 index-jump");
  EXPECT_EQ(Guest("g").status().message(),
            "its server broke the channel's rules: index-jump; 2 times so far");
  EXPECT_EQ(Guest("g").status().state(), v1::GuestStatus::RUNNING);
  for (const char* nonsense :
       {"", "2", "2 3", "x bad-slot", "-2 bad-slot", "2 bad slot", "2 \33[2J", "2 aaaaaaaaaaaaaaaaaaaaa"}) {
    hv_.Publish(domain_, "data/violation", nonsense);
    EXPECT_EQ(Guest("g").status().message(), "") << nonsense;
  }
}

TEST_F(ModeChangeTest, SharedGuestHasTheNicsMac) {
  CreateServer();
  CreateGuest("h", "");
  std::string vif = absl::StrCat("/local/domain/", DomainOf("h"), "/device/vif/0/");
  EXPECT_EQ(hv_.Key(vif + "mac"), controller_->nics.View("nics/wire").status().mac());
  EXPECT_EQ(hv_.Key(vif + "addresses"), "10.1.0.2/24");
  EXPECT_EQ(hv_.Key(vif + "shared"), "1");
}

TEST_F(ModeChangeTest, ThereAndBack) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  EXPECT_EQ(Control(), absl::StrCat("direct ", Change(), " 5000 direct"));
  EXPECT_EQ(hv_.domains[domain_].devices.back(), "direct");
  EXPECT_EQ(NicStatus().owner(), "guests/g");
  uint32_t change = Change();
  Report("preparing-direct", change, "0 0");
  EXPECT_EQ(Guest("g").status().transition(), v1::GuestStatus::PREPARING_DIRECT);
  EXPECT_EQ(Guest("g").status().mode(), v1::SERVER);
  Report("direct", change, "150 0");
  EXPECT_EQ(Operation(op).state(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(Operation(op).pause().nanos(), 150'000);
  EXPECT_EQ(Guest("g").status().mode(), v1::DIRECT);
  op = Begin(v1::SERVER);
  EXPECT_GT(Change(), change);
  EXPECT_EQ(Control(), absl::StrCat("server ", Change(), " 5000 -"));
  hv_.ReturnDevice(domain_, "direct");
  Report("server", Change(), "80 0");
  EXPECT_EQ(Operation(op).state(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
  EXPECT_EQ(Guest("g").status().mode_changes(), 2u);
}

TEST_F(ModeChangeTest, RepetitionReturnsTheSameOperationAndAnotherTargetIsRefused) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  EXPECT_EQ(Begin(v1::DIRECT), op);
  v1::Operation other;
  EXPECT_EQ(ReasonOf(SetMode(v1::SERVER, &other)), v1::ErrorInfo::OPERATION_UNDER_WAY);
}

TEST_F(ModeChangeTest, AlreadyThereSucceedsAtOnce) {
  CreateAll();
  EXPECT_EQ(Operation(Begin(v1::SERVER)).state(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(Control(), "");
}

TEST_F(ModeChangeTest, GuestThatCannotSaysWhy) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  hv_.ReturnDevice(domain_, "direct");
  Report("server", Change(), "0 0 drain timeout");
  EXPECT_EQ(Operation(op).state(), v1::Operation::FAILED);
  EXPECT_NE(Operation(op).message().find("drain timeout"), std::string::npos);
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
  EXPECT_EQ(Guest("g").status().mode_changes(), 0u);
}

TEST_F(ModeChangeTest, NoAnswerFailsAfterDeadlineAndSlackAndIsTakenBack) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  uint32_t change = Change();
  scheduler_->Advance(absl::Milliseconds(5999));
  EXPECT_EQ(Operation(op).state(), v1::Operation::RUNNING);
  scheduler_->Advance(absl::Milliseconds(1));
  EXPECT_EQ(Operation(op).state(), v1::Operation::FAILED);
  EXPECT_EQ(Control(), absl::StrCat("server ", change + 1, " 5000 -"));
  EXPECT_EQ(NicStatus().owner(), "guests/g") << "it may hold the device";
  hv_.ReturnDevice(domain_, "direct");
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
}

TEST_F(ModeChangeTest, ANicThatDidNotGetThereInTimeIsRecalledAndFreeOnceItIsBack) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  Report("server", Change(), "0 0 no-nic");
  EXPECT_EQ(Operation(op).state(), v1::Operation::FAILED);
  EXPECT_EQ(hv_.journal.back(), absl::StrCat("recall direct ", domain_));
  EXPECT_EQ(NicStatus().owner(), "guests/g") << "it is under way";
  hv_.ReturnDevice(domain_, "direct");
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
}

TEST_F(ModeChangeTest, ANicThatCouldNotBeGivenIsFreeOnceTheChangeHasFailed) {
  CreateAll();
  hv_.open_nics.erase("direct");
  Begin(v1::DIRECT);
  Report("server", Change(), "0 0 no-nic");
  EXPECT_EQ(NicStatus().owner(), "");
  hv_.open_nics.insert("direct");
  scheduler_->Advance(absl::Seconds(2));
  EXPECT_TRUE(hv_.domains[domain_].devices.empty()) << "it is not given late";
}

TEST_F(ModeChangeTest, DeathTakesTheNicBackAndTheGuestStartsInServerMode) {
  CreateAll();
  GoDirect();
  scheduler_->Advance(absl::Seconds(2));
  uint32_t dead = domain_;
  hv_.Die(dead, "killed by signal 11");
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
  domain_ = DomainOf("g");
  ASSERT_NE(domain_, 0u);
  EXPECT_NE(domain_, dead);
  EXPECT_EQ(Guest("g").status().mode(), v1::SERVER);
  EXPECT_EQ(Control(), "");
  EXPECT_EQ(Guest("g").status().restarts(), 1u);
  EXPECT_EQ(Guest("g").status().last_exit(), "killed by signal 11");
  EXPECT_FALSE(hv_.HasKey(absl::StrCat("/local/domain/", Active(), "/backend/vif/", dead, "/0/guest")));
}

TEST_F(ModeChangeTest, DeathDuringAChangeFailsIt) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  hv_.Die(domain_);
  EXPECT_EQ(Operation(op).state(), v1::Operation::FAILED);
  EXPECT_EQ(NicStatus().state(), v1::NicStatus::FREE);
}

TEST_F(ModeChangeTest, ServerDeathDuringAChangeLeavesItRunning) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  uint32_t change = Change();
  hv_.Die(Active());
  EXPECT_EQ(Operation(op).state(), v1::Operation::RUNNING);
  Report("direct", change, "900 0");
  EXPECT_EQ(Operation(op).state(), v1::Operation::SUCCEEDED);
}

TEST_F(ModeChangeTest, ReportsAreNotTrusted) {
  CreateAll();
  for (const char* value :
       {"direct 1 0 0", "direct", "", "direct x 0 0", "direct 4294967296 0 0", "sideways 1 0 0"}) {
    hv_.Publish(domain_, "data/mode", value);
    EXPECT_EQ(Guest("g").status().mode(), v1::SERVER) << value;
  }
  std::string op = Begin(v1::DIRECT);
  Report("direct", Change(), "99999999999999999 0");
  EXPECT_EQ(Operation(op).state(), v1::Operation::RUNNING);
}

TEST_F(ModeChangeTest, DaemonDiesDuringAChangeAndTheGuestFinishes) {
  CreateAll();
  std::string op = Begin(v1::DIRECT);
  std::string control = Control();
  uint32_t change = Change();
  Settle();
  Restart();
  EXPECT_EQ(Control(), control);
  hv_.domains[domain_].published["data/mode"] = absl::StrCat("direct ", change, " 70 0");
  ConnectAll();
  EXPECT_EQ(Operation(op).state(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(Guest("g").status().mode(), v1::DIRECT);
  EXPECT_EQ(NicStatus().owner(), "guests/g");
}

TEST_F(ModeChangeTest, DaemonDiesOnceAChangeIsWrittenDownAndItsSuccessorStartsIt) {
  CreateAll();
  Begin(v1::DIRECT);
  std::string control = Control();
  std::vector<std::string> devices = hv_.domains[domain_].devices;
  ASSERT_EQ(devices.size(), 1u);
  hv_.domains[domain_]
      .devices.clear();  // It was not yet given, and the key, which goes with the daemon, not written.
  Restart();
  EXPECT_EQ(Control(), control);
  ConnectAll();
  EXPECT_EQ(hv_.domains[domain_].devices, devices);
}

TEST_F(ModeChangeTest, RestartBacksOffForShortLives) {
  CreateAll();
  int before = hv_.creations;
  for (int i = 0; i < 5'000; ++i) {
    if (uint32_t id = hv_.Named("guests/g"); id != 0) hv_.Die(id, "exit status 1");
    scheduler_->Advance(absl::Milliseconds(1));
  }
  EXPECT_LE(hv_.creations - before, 8);
  EXPECT_EQ(Guest("g").status().state(), v1::GuestStatus::DEGRADED);
}

TEST_F(ModeChangeTest, NeverMeansNever) {
  CreateServer();
  v1::CreateGuestRequest request = GuestRequest("once", "10.1.0.9/24");
  request.mutable_guest()->mutable_spec()->set_restart(v1::GuestSpec::NEVER);
  v1::Guest response;
  ASSERT_TRUE(api_->CreateGuest(request, &response).ok());
  hv_.Die(DomainOf("once"), "exit status 0", true);
  scheduler_->Advance(absl::Seconds(20));
  EXPECT_EQ(Guest("once").status().state(), v1::GuestStatus::STOPPED);
  Restart();
  EXPECT_EQ(Guest("once").status().state(), v1::GuestStatus::STOPPED);
}

}  // namespace
}  // namespace librettos::daemon
