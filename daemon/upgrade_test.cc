// Planned upgrade: the steps and the table "who dies" of docs/protocols.md.
#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class UpgradeTest : public DaemonTest {
 protected:
  // Returns the operation. The new domain is `next_`.
  std::string Begin() {
    v1::UpgradeNetworkServerRequest request;
    request.set_name("servers/s");
    request.set_image("/bin/true");
    v1::Operation operation;
    absl::Status status = api_->UpgradeNetworkServer(request, &operation);
    EXPECT_TRUE(status.ok()) << status;
    old_ = Active();
    standby_ = Standby();
    next_ = hv_.Named("servers/s");
    EXPECT_NE(next_, standby_);
    return operation.name();
  }
  v1::Operation::State StateOf(const std::string& operation) { return Operation(operation).state(); }
  uint32_t old_ = 0, standby_ = 0, next_ = 0;
};

TEST_F(UpgradeTest, AllWell) {
  CreateServer();
  std::string op = Begin();
  EXPECT_EQ(hv_.domains[next_].config.image, "/bin/true");
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::UPGRADING);
  hv_.Connect(next_);
  hv_.Publish(next_, "data/ready", "1");
  EXPECT_EQ(Role(old_), "active 1");
  hv_.Publish(next_, "data/ready", "2");
  EXPECT_EQ(Role(old_), "quiesced 1");
  EXPECT_EQ(Role(next_), "standby") << "not before the old one stopped";
  scheduler_->Advance(absl::Microseconds(300));
  TakeRole(old_);
  EXPECT_EQ(Role(next_), "active 2");
  EXPECT_EQ(Active(), next_);
  scheduler_->Advance(absl::Microseconds(200));
  TakeRole(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::RUNNING) << "not healthy yet";
  BeHealthy(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::SUCCEEDED);
  EXPECT_EQ(Operation(op).pause().nanos(), 500'000);
  EXPECT_TRUE(hv_.domains[old_].dying);
  EXPECT_TRUE(hv_.domains[standby_].dying);
  hv_.DieAll();
  scheduler_->Advance(absl::Seconds(1));
  EXPECT_EQ(hv_.domains[Standby()].config.image, "/bin/true");
  EXPECT_EQ(Server().spec().image(), "/bin/true");
  EXPECT_EQ(Server().status().upgrades(), 1u);
  EXPECT_EQ(Server().status().failovers(), 0u);
}

TEST_F(UpgradeTest, NeverReadyIsDestroyedAndNothingHappened) {
  CreateServer();
  std::string etag = Server().etag();
  std::string op = Begin();
  scheduler_->Advance(absl::Seconds(5));
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_TRUE(hv_.domains[next_].dying);
  hv_.DieAll();
  EXPECT_EQ(Active(), old_);
  EXPECT_EQ(Standby(), standby_);
  EXPECT_EQ(Role(old_), "active 1");
  EXPECT_EQ(Server().etag(), etag);
}

TEST_F(UpgradeTest, NewDiesBeforeItIsReady) {
  CreateServer();
  std::string op = Begin();
  hv_.Die(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_EQ(Active(), old_);
  EXPECT_EQ(Role(old_), "active 1");
}

TEST_F(UpgradeTest, OldDiesBeforeTheNewIsReady) {
  CreateServer();
  std::string op = Begin();
  hv_.Die(old_);
  EXPECT_EQ(Active(), standby_) << "ordinary failover";
  TakeRole(standby_);
  Ready(next_);
  EXPECT_EQ(Role(standby_), absl::StrCat("quiesced ", Server().status().epoch()));
  TakeRole(standby_);
  TakeRole(next_);
  BeHealthy(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::SUCCEEDED);
}

TEST_F(UpgradeTest, OldDiesBeforeItAcknowledges) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  hv_.Die(old_);
  EXPECT_EQ(Role(next_), "active 2") << "failover, to the new one, as it is ready";
  TakeRole(next_);
  BeHealthy(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::SUCCEEDED);
}

TEST_F(UpgradeTest, NewDiesWhileTheOldQuiesces) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  hv_.Die(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_EQ(Role(old_), "active 2");
}

TEST_F(UpgradeTest, OldThatDoesNotHandOverIsReplaced) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  scheduler_->Advance(absl::Seconds(5));
  EXPECT_TRUE(hv_.domains[old_].dying);
  hv_.DieAll();
  EXPECT_EQ(Role(next_), "active 2");
}

TEST_F(UpgradeTest, NewDiesAfterTheHandOver) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  TakeRole(old_);
  hv_.Die(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_EQ(Active(), old_);
  EXPECT_EQ(Role(old_), "active 3");
  EXPECT_EQ(hv_.domains[old_].devices.back(), "wire");
  TakeRole(old_);
  EXPECT_EQ(Server().status().state(), v1::NetworkServerStatus::ACTIVE);
}

TEST_F(UpgradeTest, NeverHealthyGoesBackAfterTheNewOnesDeath) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  TakeRole(old_);
  TakeRole(next_);
  scheduler_->Advance(absl::Seconds(5));
  EXPECT_TRUE(hv_.domains[next_].dying);
  EXPECT_EQ(Role(old_), "quiesced 1") << "two must never forward";
  hv_.DieAll();
  EXPECT_EQ(Role(old_), "active 3");
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_EQ(Server().spec().image(), "");
}

TEST_F(UpgradeTest, BothGoneMeansTheStandby) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  TakeRole(old_);
  hv_.Die(old_);
  EXPECT_EQ(Active(), next_);
  hv_.Die(next_);
  EXPECT_EQ(Active(), standby_);
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
}

TEST_F(UpgradeTest, DaemonDiesBeforeTheNewIsReady) {
  CreateServer();
  std::string op = Begin();
  Settle();
  Restart();
  EXPECT_EQ(StateOf(op), v1::Operation::FAILED);
  EXPECT_TRUE(hv_.domains[next_].dying);
  EXPECT_EQ(Role(old_), "active 1");
}

TEST_F(UpgradeTest, DaemonDiesWhileTheOldQuiesces) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  Restart();  // At once: what matters was written before the old one was told.
  EXPECT_EQ(Role(old_), "quiesced 1");
  ConnectAll();
  hv_.Publish(old_, "data/role", "quiesced 1");
  EXPECT_EQ(Active(), next_);
  TakeRole(next_);
  BeHealthy(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::SUCCEEDED);
}

TEST_F(UpgradeTest, DaemonDiesAfterTheHandOver) {
  CreateServer();
  std::string op = Begin();
  Ready(next_);
  TakeRole(old_);
  TakeRole(next_);
  Settle();
  Restart();
  EXPECT_EQ(Role(next_), "active 2");
  ConnectAll();
  BeHealthy(next_);
  EXPECT_EQ(StateOf(op), v1::Operation::SUCCEEDED);
}

}  // namespace
}  // namespace librettos::daemon
