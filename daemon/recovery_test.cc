// The daemon's own death: what its successor reads, writes and finds.
#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class RecoveryTest : public DaemonTest {};

TEST_F(RecoveryTest, EverythingGoesOnAndNothingIsTouched) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  uint32_t active = Active(), standby = Standby(), guest = DomainOf("g");
  std::string etag = Guest("g").etag(), role = Role(active);
  std::string key = hv_.Key(absl::StrCat("/local/domain/", active, "/control/lease-key"));
  int creations = hv_.creations;
  Restart();
  // Before any domain has connected, all of the daemon's keys must stand.
  EXPECT_EQ(Role(active), role);
  EXPECT_EQ(Role(standby), "standby");
  EXPECT_EQ(hv_.Key(absl::StrCat("/local/domain/", active, "/control/lease-key")), key);
  EXPECT_EQ(hv_.Key(absl::StrCat("/local/domain/", guest, "/device/vif/0/backend/", active)), "1");
  EXPECT_NE(hv_.Key(absl::StrCat("/local/domain/", active, "/backend/vif/", guest, "/0/guest")), "");
  ConnectAll();
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::ACTIVE);
  EXPECT_TRUE(Server().status().standby_ready());
  EXPECT_EQ(Guest("g").status().state(), v1::GuestStatus::RUNNING);
  EXPECT_EQ(Guest("g").etag(), etag);
  scheduler_->Advance(absl::Seconds(30));
  EXPECT_EQ(hv_.creations, creations);
  EXPECT_EQ(Journal("destroy"), -1);
  EXPECT_EQ(Journal("give"), -1) << "the server has its NIC";
  EXPECT_EQ(Server().status().failovers(), 0u);
}

TEST_F(RecoveryTest, ActiveServerThatDiedMeanwhileIsReplaced) {
  CreateServer();
  uint32_t active = Active(), standby = Standby(), epoch = Server().status().epoch();
  Kill();
  hv_.domains.erase(active);
  Start();
  hv_.unavailable_nics.clear();  // Nobody holds it any more.
  ConnectAll();
  EXPECT_EQ(Active(), standby);
  EXPECT_GT(Server().status().epoch(), epoch);
  scheduler_->Advance(absl::Seconds(1));
  EXPECT_EQ(hv_.domains[standby].devices.back(), "wire") << "given as soon as it could be opened";
}

TEST_F(RecoveryTest, ActivationThatWasNotYetWrittenIsNotUndone) {
  CreateServer();
  uint32_t standby = Standby(), epoch = 2;
  hv_.Die(Active());
  TakeRole(standby);
  EXPECT_EQ(Role(standby), absl::StrCat("active ", epoch));
  Restart();  // At once: the state on disk still names the dead one.
  ConnectAll();
  EXPECT_EQ(Active(), standby);
  EXPECT_GT(Server().status().epoch(), epoch) << "an epoch is never used twice";
}

TEST_F(RecoveryTest, GuestThatDiedMeanwhileIsStartedAgain) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  uint32_t dead = DomainOf("g");
  Kill();
  hv_.domains.erase(dead);
  Start();
  scheduler_->Advance(absl::Seconds(1));
  EXPECT_NE(DomainOf("g"), 0u);
  EXPECT_NE(DomainOf("g"), dead) << "ids are never reused";
  EXPECT_TRUE(hv_.List(absl::StrCat("/local/domain/", dead)).empty());
  EXPECT_FALSE(hv_.HasKey(absl::StrCat("/local/domain/", Active(), "/backend/vif/", dead, "/0/guest")));
}

TEST_F(RecoveryTest, UnknownDomainsAreDestroyed) {
  CreateServer();
  uint32_t stranger =
      *hv_.Create({.name = "guests/stranger", .kind = {}, .image = {}, .arguments = {}, .files = {}});
  Restart();
  EXPECT_TRUE(hv_.domains[stranger].dying);
  EXPECT_FALSE(hv_.domains[Active()].dying);
}

TEST_F(RecoveryTest, DeletionGoesOn) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  v1::DeleteGuestRequest request;
  request.set_name("guests/g");
  v1::DeleteGuestResponse response;
  ASSERT_TRUE(api_->DeleteGuest(request, &response).ok());
  Restart();
  hv_.DieAll();
  EXPECT_FALSE(api_->Exists("guests/g"));
}

TEST_F(RecoveryTest, DeletionEndsIfAllDomainsDiedMeanwhile) {
  CreateServer();
  v1::DeleteNetworkServerRequest request;
  request.set_name("servers/s");
  v1::DeleteNetworkServerResponse response;
  ASSERT_TRUE(api_->DeleteNetworkServer(request, &response).ok());
  Kill();
  hv_.DieAll();
  Start();
  ASSERT_TRUE(recovered_.ok()) << recovered_;
  EXPECT_FALSE(api_->Exists("servers/s"));
  EXPECT_TRUE(controller_->idle());
}

TEST_F(RecoveryTest, ServerWhoseDomainsAllDiedMeanwhileStartsAgain) {
  CreateServer();
  uint32_t active = Active(), standby = Standby();
  Kill();
  hv_.domains.clear();
  Start();
  hv_.unavailable_nics.clear();
  scheduler_->Advance(absl::Seconds(1));
  ASSERT_NE(hv_.Named("servers/s"), 0u);
  Ready(hv_.Named("servers/s"));
  EXPECT_NE(Active(), active);
  EXPECT_NE(Active(), standby) << "what is dead takes over nothing";
  TakeRole(Active());
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::ACTIVE);
}

TEST_F(RecoveryTest, UpgradeWhoseDomainsAllDiedMeanwhileEnds) {
  CreateServer();
  v1::UpgradeNetworkServerRequest request;
  request.set_name("servers/s");
  request.set_image("/bin/true");
  v1::Operation operation;
  ASSERT_TRUE(api_->UpgradeNetworkServer(request, &operation).ok());
  uint32_t successor = hv_.Named("servers/s");
  ASSERT_NE(successor, Standby());
  Ready(successor);
  hv_.Publish(Active(), "data/role", Role(Active()));  // It is quiesced: the new one is active.
  ASSERT_EQ(Active(), successor);
  Kill();
  hv_.domains.clear();
  Start();
  hv_.unavailable_nics.clear();
  ASSERT_TRUE(recovered_.ok()) << recovered_;
  EXPECT_EQ(Operation(operation.name()).state(), v1::Operation::FAILED);
  scheduler_->Advance(absl::Seconds(1));
  ASSERT_NE(hv_.Named("servers/s"), 0u);
  Ready(hv_.Named("servers/s"));
  EXPECT_GT(Active(), successor);
}

TEST_F(RecoveryTest, NothingOfADeletedServersDomainsIsLeft) {
  CreateServer();
  uint32_t active = Active(), standby = Standby();
  v1::DeleteNetworkServerRequest request;
  request.set_name("servers/s");
  v1::DeleteNetworkServerResponse response;
  ASSERT_TRUE(api_->DeleteNetworkServer(request, &response).ok());
  Kill();
  hv_.DieAll();
  Start();
  EXPECT_FALSE(api_->Exists("servers/s"));
  for (uint32_t domain : {active, standby}) {
    EXPECT_TRUE(hv_.List(absl::StrCat("/local/domain/", domain)).empty()) << domain;
    EXPECT_NE(Journal(absl::StrCat("remove /local/domain/", domain)), -1) << domain;
  }
}

TEST_F(RecoveryTest, DeletionOfAGuestThatDiedMeanwhileEnds) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  v1::DeleteGuestRequest request;
  request.set_name("guests/g");
  v1::DeleteGuestResponse response;
  ASSERT_TRUE(api_->DeleteGuest(request, &response).ok());
  Kill();
  hv_.DieAll();
  Start();
  ASSERT_TRUE(recovered_.ok()) << recovered_;
  EXPECT_FALSE(api_->Exists("guests/g"));
  EXPECT_TRUE(api_->Exists("servers/s"));
}

TEST_F(RecoveryTest, NicOfAGuestThatDiedMeanwhileInDirectModeIsFree) {
  CreateServer();
  CreateNic("own");
  CreateGuest("g", "10.1.0.5/24");
  v1::SetGuestModeRequest request;
  request.set_name("guests/g");
  request.set_mode(v1::DIRECT);
  v1::Operation operation;
  ASSERT_TRUE(api_->SetGuestMode(request, &operation).ok());
  Settle();
  uint32_t guest = DomainOf("g");
  ASSERT_EQ(controller_->nics.OwnerOf("nics/own"), "guests/g");
  Kill();
  hv_.domains.erase(guest);
  Start();
  EXPECT_EQ(controller_->nics.OwnerOf("nics/own"), "");
  EXPECT_EQ(Operation(operation.name()).state(), v1::Operation::FAILED);
}

TEST_F(RecoveryTest, DomainIdsAreNotReusedEvenIfTheLastWriteIsMissing) {
  CreateServer();
  v1::Guest response;
  ASSERT_TRUE(api_->CreateGuest(GuestRequest("g", "10.1.0.5/24"), &response).ok());
  uint32_t lost = DomainOf("g");  // Not written down yet.
  Restart();
  EXPECT_TRUE(hv_.domains[lost].dying);
  EXPECT_GT(DomainOf("g"), lost);
}

TEST_F(RecoveryTest, AdoptedServerThatNeverConnectsIsReplaced) {
  CreateServer();
  uint32_t active = Active();
  Kill();
  hv_.domains[active].beats = false;
  Start();
  scheduler_->Advance(absl::Seconds(6));
  EXPECT_TRUE(hv_.domains[active].dying);
}

TEST_F(RecoveryTest, StateThatCannotBeReadStopsTheStartAndTouchesNothing) {
  CreateServer();
  Kill();
  std::filesystem::resize_file(store_->path(), std::filesystem::file_size(store_->path()) - 1);
  Start();
  EXPECT_EQ(recovered_.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(recovered_.message().find(store_->path()), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(store_->path()));
  EXPECT_EQ(Journal("destroy"), -1);
}

TEST_F(RecoveryTest, AnOperationWithoutANumberIsPassedOver) {
  Kill();
  State state;
  state.add_operations()->set_name("op");
  ASSERT_TRUE(Store(directory_).Save(state).ok());
  Start();
  EXPECT_TRUE(recovered_.ok()) << recovered_;
  EXPECT_TRUE(controller_->model.operations.empty());
}

TEST_F(RecoveryTest, StopDestroysDomainsAndKeepsTheSpecification) {
  CreateServer();
  controller_->DestroyAll();
  EXPECT_FALSE(controller_->idle());
  hv_.DieAll();
  EXPECT_TRUE(controller_->idle());
  controller_->CloseNics();
  EXPECT_TRUE(hv_.open_nics.empty());
  Restart();
  EXPECT_TRUE(api_->Exists("servers/s"));
}

}  // namespace
}  // namespace librettos::daemon
