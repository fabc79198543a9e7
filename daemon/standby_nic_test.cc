// Servers whose standby has a NIC of its own: docs/xen.md, NICs.
#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class StandbyNicTest : public DaemonTest {
 protected:
  v1::CreateNetworkServerRequest Request() {
    v1::CreateNetworkServerRequest request = ServerRequest("s", "wire");
    request.mutable_network_server()->mutable_spec()->set_standby_nic("nics/spare");
    return request;
  }
  // Active on `wire`, standby on `spare`.
  void CreateBoth() {
    CreateNic("wire");
    CreateNic("spare");
    v1::NetworkServer response;
    ASSERT_TRUE(api_->CreateNetworkServer(Request(), &response).ok());
    Ready(hv_.Named("servers/s"));
    TakeRole(Active());
    Ready(Standby());
    Settle();
    ASSERT_EQ(Devices(Active()), "wire");
    ASSERT_EQ(Devices(Standby()), "spare");
    hv_.journal.clear();
  }
  std::string Devices(uint32_t domain) {
    std::string devices;
    for (const std::string& nic : hv_.domains.at(domain).devices) {
      absl::StrAppend(&devices, devices.empty() ? "" : " ", nic);
    }
    return devices;
  }
  std::string Upgrade() {
    v1::UpgradeNetworkServerRequest request;
    request.set_name("servers/s");
    v1::Operation operation;
    EXPECT_TRUE(api_->UpgradeNetworkServer(request, &operation).ok());
    return operation.name();
  }
};

TEST_F(StandbyNicTest, BothHoldTheirNicFromTheStartWithTheFirstOnesAddress) {
  CreateNic("wire");
  CreateNic("spare");
  v1::NetworkServer response;
  ASSERT_TRUE(api_->CreateNetworkServer(Request(), &response).ok());
  const uint32_t first = hv_.Named("servers/s");
  const std::string address = controller_->nics.View("nics/wire").status().mac();
  EXPECT_EQ(hv_.Key(absl::StrCat("/local/domain/", first, "/control/announce")), "1");
  EXPECT_GE(Journal(absl::StrCat("give wire ", first, " ", address)), 0);
  hv_.journal.clear();
  Ready(first);
  EXPECT_EQ(Role(first), "active 1");
  EXPECT_EQ(Journal("give"), -1) << "it has its NIC already";
  TakeRole(first);
  EXPECT_GE(Journal(absl::StrCat("give spare ", Standby(), " ", address)), 0);
  EXPECT_EQ(controller_->nics.OwnerOf("nics/spare"), "servers/s");
}

TEST_F(StandbyNicTest, ATakeoverMovesNoNic) {
  CreateBoth();
  const uint32_t dead = Active(), standby = Standby();
  hv_.Die(dead);
  EXPECT_EQ(Active(), standby);
  EXPECT_EQ(Role(standby), "active 2");
  EXPECT_EQ(Journal("give"), -1);
  EXPECT_EQ(Devices(standby), "spare");
}

TEST_F(StandbyNicTest, TheDeadOnesNicIsTheNextStandbys) {
  CreateBoth();
  for (const char* freed : {"wire", "spare", "wire"}) {
    scheduler_->Advance(absl::Seconds(1));
    hv_.Die(Active());
    TakeRole(Active());
    ASSERT_NE(Standby(), 0u);
    EXPECT_EQ(Devices(Standby()), freed);
    Ready(Standby());
  }
}

TEST_F(StandbyNicTest, AStandbyThatDiesLeavesItsNicToTheNext) {
  CreateBoth();
  scheduler_->Advance(absl::Seconds(1));
  hv_.Die(Standby());
  scheduler_->Advance(absl::Seconds(1));
  ASSERT_NE(Standby(), 0u);
  EXPECT_EQ(Devices(Standby()), "spare");
  EXPECT_EQ(Devices(Active()), "wire");
}

TEST_F(StandbyNicTest, ARestartOfTheDaemonKeepsWhoHasWhich) {
  CreateBoth();
  scheduler_->Advance(absl::Seconds(1));
  hv_.Die(Active());
  TakeRole(Active());
  Ready(Standby());
  scheduler_->Advance(absl::Seconds(1));
  const uint32_t active = Active(), standby = Standby();
  Restart();
  ConnectAll();
  EXPECT_EQ(Journal("give"), -1);
  scheduler_->Advance(absl::Seconds(1));
  hv_.Die(active);
  EXPECT_EQ(Active(), standby);
  TakeRole(standby);
  ASSERT_NE(Standby(), 0u);
  EXPECT_EQ(Devices(Standby()), "spare");
}

TEST_F(StandbyNicTest, AnUpgradeTakesTheStandbysNic) {
  CreateBoth();
  const uint32_t old = Active(), standby = Standby();
  const std::string operation = Upgrade();
  const uint32_t next = hv_.Named("servers/s");
  EXPECT_TRUE(hv_.domains[standby].dying);
  EXPECT_EQ(Devices(next), "") << "the standby is still there";
  hv_.DieAll();
  EXPECT_EQ(Devices(next), "spare");
  Ready(next);
  EXPECT_EQ(Role(old), "quiesced 1");
  hv_.ReturnDevice(old, "wire");
  TakeRole(old);
  EXPECT_EQ(Role(next), "active 2");
  EXPECT_EQ(Devices(next), "spare");
  TakeRole(next);
  BeHealthy(next);
  EXPECT_EQ(Operation(operation).state(), v1::Operation::SUCCEEDED);
  hv_.DieAll();
  scheduler_->Advance(absl::Seconds(1));
  ASSERT_NE(Standby(), 0u);
  EXPECT_EQ(Devices(Standby()), "wire");
}

TEST_F(StandbyNicTest, AnUpgradeThatFailsGivesTheOldOneItsNicBack) {
  CreateBoth();
  const uint32_t old = Active();
  const std::string operation = Upgrade();
  const uint32_t next = hv_.Named("servers/s");
  hv_.DieAll();
  Ready(next);
  hv_.ReturnDevice(old, "wire");
  TakeRole(old);
  EXPECT_EQ(Active(), next);
  hv_.Die(next);
  EXPECT_EQ(Operation(operation).state(), v1::Operation::FAILED);
  EXPECT_EQ(Active(), old);
  EXPECT_EQ(Devices(old), "wire");
  TakeRole(old);
  scheduler_->Advance(absl::Seconds(1));
  ASSERT_NE(Standby(), 0u);
  EXPECT_EQ(Devices(Standby()), "spare");
}

TEST_F(StandbyNicTest, TheNewOnesDeathAfterTheOldOneStoppedGivesItsNicBackToo) {
  CreateBoth();
  const uint32_t old = Active();
  Upgrade();
  const uint32_t next = hv_.Named("servers/s");
  hv_.DieAll();
  Ready(next);
  hv_.ReturnDevice(old, "wire");
  hv_.Die(next);  // The old one has not said yet that it stopped.
  EXPECT_EQ(Role(old), "active 2");
  EXPECT_EQ(Devices(old), "wire");
}

TEST_F(StandbyNicTest, OldOnesDeathWhileTheNewOneGetsReadyIsAFailover) {
  CreateBoth();
  const uint32_t old = Active();
  Upgrade();
  hv_.DieAll();
  scheduler_->Advance(absl::Seconds(1));
  hv_.Die(old);
  scheduler_->Advance(absl::Seconds(2));
  ASSERT_NE(Active(), 0u);
  EXPECT_NE(Devices(Active()), "");
}

TEST_F(StandbyNicTest, WhatCannotWorkIsRefused) {
  CreateNic("wire");
  CreateNic("spare");
  v1::NetworkServer response;
  const auto refused = [&](const v1::CreateNetworkServerRequest& request) {
    absl::Status status = api_->CreateNetworkServer(request, &response);
    EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::INVALID_FIELD) << status;
    EXPECT_EQ(ErrorInfoOf(status)->field(), "network_server.spec.standby_nic");
  };
  v1::CreateNetworkServerRequest request = Request();
  request.mutable_network_server()->mutable_spec()->set_standby_nic("nics/wire");
  refused(request);
  request = Request();
  request.mutable_network_server()->mutable_spec()->set_standby(false);
  refused(request);
  request = Request();
  request.mutable_network_server()->mutable_spec()->set_standby_nic("nics/none");
  EXPECT_EQ(ReasonOf(api_->CreateNetworkServer(request, &response)), v1::ErrorInfo::NO_SUCH_RESOURCE);
  ASSERT_TRUE(api_->CreateNetworkServer(Request(), &response).ok());
  CreateNic("third");
  request = ServerRequest("t", "third");
  request.mutable_network_server()->mutable_spec()->set_standby_nic("nics/spare");
  EXPECT_EQ(ReasonOf(api_->CreateNetworkServer(request, &response)), v1::ErrorInfo::NIC_TAKEN);
  EXPECT_EQ(ReasonOf(api_->CreateNetworkServer(ServerRequest("t", "spare"), &response)),
            v1::ErrorInfo::NIC_TAKEN);
}

}  // namespace
}  // namespace librettos::daemon
