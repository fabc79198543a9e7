#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/testing/fake_daemon.h"

namespace librettos {
namespace {

using testing::HasSubstr;

// Far above what anything here takes: a test that runs into it hangs for a reason.
constexpr absl::Duration kLong = absl::Seconds(60);

class ClientTest : public testing::Test {
 protected:
  void SetUp() override {
    ClientOptions options;
    options.socket = daemon_.socket();
    options.deadline = kLong;
    auto client = Client::Connect(options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  static v1::Guest Guest(const std::string& name, v1::GuestStatus::State state) {
    v1::Guest guest;
    guest.set_name(name);
    guest.mutable_status()->set_state(state);
    return guest;
  }
  static v1::Operation Operation(v1::Operation::State state) {
    v1::Operation operation;
    operation.set_name("operations/1");
    operation.set_state(state);
    operation.set_message("draining");
    return operation;
  }

  FakeDaemon daemon_;
  std::unique_ptr<Client> client_;
};

TEST(Connect, NoDaemonIsUnavailable) {
  ClientOptions options;
  options.socket = "/nonexistent/d.sock";
  EXPECT_EQ(Client::Connect(options).status().code(), absl::StatusCode::kUnavailable);
}

TEST(Connect, OptionsThatCannotWorkAreRefused) {
  ClientOptions options;
  options.deadline = absl::ZeroDuration();
  EXPECT_EQ(Client::Connect(options).status().code(), absl::StatusCode::kInvalidArgument);
  options = {};
  options.socket = std::string(200, 'x');
  EXPECT_EQ(Client::Connect(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Connect, WaitForReadyNeedsNoDaemonYet) {
  ClientOptions options;
  options.socket = "/nonexistent/d.sock";
  options.wait_for_ready = true;
  options.deadline = absl::Milliseconds(50);
  auto client = Client::Connect(options);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->ListGuests().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, ErrorsCarryTheirInfo) {
  v1::ErrorInfo info;
  info.set_reason(v1::ErrorInfo::ADDRESS_TAKEN);
  info.set_value("10.0.0.1");
  daemon_.FailNext("CreateGuest", WithErrorInfo(absl::FailedPreconditionError("taken"), info));
  const auto guest = client_->CreateGuest({});
  EXPECT_EQ(guest.status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(ErrorInfoOf(guest.status()).has_value());
  EXPECT_EQ(ErrorInfoOf(guest.status())->value(), "10.0.0.1");
}

TEST_F(ClientTest, ListsAllPages) {
  for (int i = 0; i < 7; ++i) daemon_.Put(Guest("guests/g" + std::to_string(i), v1::GuestStatus::RUNNING));
  daemon_.SetPageSize(3);
  const auto guests = client_->ListGuests();
  ASSERT_TRUE(guests.ok()) << guests.status();
  ASSERT_EQ(guests->size(), 7u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ((*guests)[i].name(), "guests/g" + std::to_string(i));
  EXPECT_EQ(daemon_.Calls("ListGuests"), 3);
}

TEST_F(ClientTest, AListWithoutEndIsAnError) {
  daemon_.SetPageTokenStuck(true);
  EXPECT_EQ(client_->ListGuests().status().code(), absl::StatusCode::kInternal);
}

TEST_F(ClientTest, ChannelsOfOneGuest) {
  for (const char* name : {"guests/a/channels/3", "guests/b/channels/3"}) {
    v1::Channel channel;
    channel.set_name(name);
    daemon_.Put(channel);
  }
  EXPECT_EQ(client_->ListChannels()->size(), 2u);
  ASSERT_EQ(client_->ListChannels("guests/b")->size(), 1u);
  EXPECT_EQ(client_->ListChannels("guests/b")->front().name(), "guests/b/channels/3");
}

TEST_F(ClientTest, NextCallAfterARestartOfTheDaemonWorks) {
  ClientOptions options;
  options.socket = daemon_.socket();
  options.wait_for_ready = true;
  options.deadline = kLong;
  auto client = Client::Connect(options);
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE((*client)->ListGuests().ok());
  daemon_.Stop();
  daemon_.Serve();
  // The first call may still meet the end of the old connection.
  absl::Status status = (*client)->ListGuests().status();
  if (absl::IsUnavailable(status)) status = (*client)->ListGuests().status();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ClientTest, WaitOperationWaitsUntilDone) {
  daemon_.Put(Operation(v1::Operation::RUNNING));
  daemon_.Then(Operation(v1::Operation::SUCCEEDED));
  const auto operation = client_->WaitOperation("operations/1", kLong);
  ASSERT_TRUE(operation.ok()) << operation.status();
  EXPECT_EQ(operation->state(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(daemon_.Calls("WaitOperation"), 2);
}

TEST_F(ClientTest, WaitOperationReturnsAFailedOne) {
  daemon_.Put(Operation(v1::Operation::FAILED));
  const auto operation = client_->WaitOperation("operations/1", kLong);
  ASSERT_TRUE(operation.ok()) << operation.status();
  EXPECT_EQ(operation->state(), v1::Operation::FAILED);
}

TEST_F(ClientTest, WaitOperationSaysWhatStillRunsAtTheTimeout) {
  daemon_.Put(Operation(v1::Operation::RUNNING));
  const absl::Status status = client_->WaitOperation("operations/1", absl::Milliseconds(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("draining"));
}

TEST_F(ClientTest, WaitOperationWaitsThroughADaemonThatCannotAnswerNow) {
  daemon_.Put(Operation(v1::Operation::SUCCEEDED));
  daemon_.FailNext("WaitOperation", absl::UnavailableError("restarting"));
  daemon_.FailNext("WaitOperation", absl::UnavailableError("restarting"));
  EXPECT_TRUE(client_->WaitOperation("operations/1", kLong).ok());
  EXPECT_EQ(daemon_.Calls("WaitOperation"), 3);
}

TEST_F(ClientTest, WaitOperationOfNoneIsNotFound) {
  EXPECT_EQ(client_->WaitOperation("operations/9", kLong).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, AwaitGuestReturnsTheStateAskedFor) {
  daemon_.Put(Guest("guests/a", v1::GuestStatus::STARTING));
  daemon_.Put(Guest("guests/b", v1::GuestStatus::RUNNING));  // Another one's state does not count.
  std::thread change([&] {
    daemon_.AwaitWatches(1);
    daemon_.Put(Guest("guests/a", v1::GuestStatus::RUNNING));
  });
  const auto guest = client_->AwaitGuest(
      "guests/a", kLong, [](const v1::Guest& g) { return g.status().state() == v1::GuestStatus::RUNNING; });
  change.join();
  ASSERT_TRUE(guest.ok()) << guest.status();
  EXPECT_EQ(guest->name(), "guests/a");
}

TEST_F(ClientTest, AwaitGuestOfNoneIsNotFound) {
  const auto never = [](const v1::Guest&) { return false; };
  EXPECT_EQ(client_->AwaitGuest("guests/a", kLong, never).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, AwaitGuestEndsWhenItIsDeleted) {
  daemon_.Put(Guest("guests/a", v1::GuestStatus::STARTING));
  std::thread change([&] {
    daemon_.AwaitWatches(1);
    daemon_.Remove("guests/a");
  });
  const auto never = [](const v1::Guest&) { return false; };
  EXPECT_EQ(client_->AwaitGuest("guests/a", kLong, never).status().code(), absl::StatusCode::kNotFound);
  change.join();
}

TEST_F(ClientTest, AwaitGuestEndsAtTheTimeout) {
  daemon_.Put(Guest("guests/a", v1::GuestStatus::STARTING));
  const auto never = [](const v1::Guest&) { return false; };
  EXPECT_EQ(client_->AwaitGuest("guests/a", absl::Milliseconds(30), never).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, WatchTellsPresentStateThenChanges) {
  daemon_.Put(Guest("guests/a", v1::GuestStatus::STARTING));
  std::vector<std::string> seen;
  absl::Notification synced, deleted;
  auto watch = client_->StartWatch({}, [&](const v1::WatchResponse& change) {
    seen.push_back(change.has_guest() ? change.guest().name()
                   : change.synced()  ? "synced"
                                      : change.deleted());
    if (change.synced()) synced.Notify();
    if (change.has_deleted()) deleted.Notify();
  });
  synced.WaitForNotification();
  daemon_.Remove("guests/a");
  deleted.WaitForNotification();
  watch->Cancel();
  EXPECT_TRUE(watch->Wait(kLong).ok());
  EXPECT_THAT(seen, testing::ElementsAre("guests/a", "synced", "guests/a"));
}

TEST_F(ClientTest, WatchEndsUnavailableWhenTheDaemonGoes) {
  absl::Notification synced;
  auto watch = client_->StartWatch({}, [&](const v1::WatchResponse& change) {
    if (change.synced()) synced.Notify();
  });
  synced.WaitForNotification();
  EXPECT_EQ(watch->Wait(absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
  daemon_.Stop();
  EXPECT_EQ(watch->Wait(kLong).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, WatchIsCancelledByItsDestructor) {
  absl::Notification synced;
  auto watch = client_->StartWatch({}, [&](const v1::WatchResponse& change) {
    if (change.synced()) synced.Notify();
  });
  synced.WaitForNotification();
  watch.reset();
}

TEST_F(ClientTest, RunWatchEndsWhenTheCallbackSaysSo) {
  daemon_.Put(Guest("guests/a", v1::GuestStatus::RUNNING));
  int calls = 0;
  EXPECT_TRUE(client_->RunWatch({}, kLong, [&](const v1::WatchResponse&) { return ++calls < 2; }).ok());
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace librettos
