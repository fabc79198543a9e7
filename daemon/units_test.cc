// Small parts: names, addresses, log lines, mode reports, subscriptions, operations.
#include "absl/strings/str_cat.h"
#include "daemon/addresses.h"
#include "daemon/log.h"
#include "daemon/mode_report.h"
#include "daemon/names.h"
#include "daemon/testing/fixture.h"
#include "daemon/validation.h"
#include "daemon/watch.h"
#include "gtest/gtest.h"
#include "hypervisor/fnv.h"
#include "hypervisor/process/limits.h"

namespace librettos::daemon {
namespace {

// A server's open files: two doorbells for each queue pair, a mapping under way for each guest, and a few of
// its own; twice, as a guest that is replaced overlaps with its successor.
static_assert(2 * kMaxGuestsPerServer * (2 * kMaxQueuePairs + 1) + 64 <= process::kMaxOpenFiles);

// From the FNV reference's test vectors. Addresses and stored checksums depend on it.
static_assert(Fnv1a("") == 0xcbf29ce484222325 && Fnv1a("a") == 0xaf63dc4c8601ec8c &&
              Fnv1a("foobar") == 0x85944171f73967e8);

TEST(NamesTest, Ids) {
  for (const char* id : {"a", "a1", "a-b", "x0-9"}) EXPECT_TRUE(ValidId(id)) << id;
  EXPECT_TRUE(ValidId(std::string(63, 'a')));
  EXPECT_FALSE(ValidId(std::string(64, 'a')));
  for (const char* id : {"", "-", "a-", "-a", "1a", "A", "a_b", "a.b", "ä"}) EXPECT_FALSE(ValidId(id)) << id;
}

TEST(AddressesTest, DerivedMacsAreStableLocalAndDiffer) {
  EXPECT_EQ(DeriveMac("guests/web"), DeriveMac("guests/web"));
  EXPECT_NE(DeriveMac("guests/web"), DeriveMac("guests/wec"));
  EXPECT_EQ(DeriveMac("guests/web").substr(0, 3), "02:");
  std::string why;
  EXPECT_TRUE(ParseMac(DeriveMac("guests/web"), &why).has_value());
}

TEST(AddressesTest, SmallPrefixesHaveNoNetworkAddress) {
  std::string why;
  EXPECT_TRUE(ParseInterfaceAddress("10.0.0.0/31", &why).has_value());
  EXPECT_TRUE(ParseInterfaceAddress("10.0.0.255/32", &why).has_value());
  EXPECT_FALSE(ParseInterfaceAddress("10.0.0.3/30", &why).has_value());
}

TEST(AddressesTest, Contains) {
  std::string why;
  auto subnet = ParseInterfaceAddress("10.1.2.3/23", &why);
  EXPECT_TRUE(subnet->Contains(*ParseHostAddress("10.1.3.1", &why)));
  EXPECT_FALSE(subnet->Contains(*ParseHostAddress("10.1.4.1", &why)));
  EXPECT_FALSE(subnet->Contains(*ParseHostAddress("fd00::1", &why)));
}

TEST(LogTest, ValuesCannotForgeLinesOrFields) {
  EXPECT_EQ(FormatLine(Level::kAudit, "call", {{"id", "a\nerror x=1"}, {"n", "7"}, {"e", ""}}),
            "audit call id=\"a\\nerror x=1\" n=7 e=\"\"\n");
}

TEST(ModeReportTest, Parses) {
  auto report = ParseModeReport("preparing-server 12 34 5 no-server now");
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->mode, v1::DIRECT);
  EXPECT_EQ(report->transition, v1::GuestStatus::PREPARING_SERVER);
  EXPECT_EQ(report->change, 12u);
  EXPECT_EQ(report->pause_us, 34u);
  EXPECT_EQ(report->lost, 5u);
  EXPECT_EQ(report->reason, "no-server now");
}

TEST(WatchTest, SlowReadersGetEachNameOnce) {
  WatchHub hub;
  auto all = hub.Subscribe({});
  auto guests = hub.Subscribe({"guests/"});
  for (int i = 0; i < 1000; ++i) hub.Notify("guests/a");
  hub.Notify("nics/n");
  EXPECT_EQ(all->Take(), (std::vector<std::string>{"guests/a", "nics/n"}));
  EXPECT_EQ(guests->Take(), (std::vector<std::string>{"guests/a"}));
  EXPECT_TRUE(all->Take().empty());
}

TEST(WatchTest, SubscribersAreBoundedAndForgotten) {
  WatchHub hub;
  std::vector<std::shared_ptr<Subscription>> held;
  for (int i = 0; i < kMaxSubscribers; ++i) held.push_back(hub.Subscribe({}));
  EXPECT_EQ(hub.Subscribe({}), nullptr);
  held.pop_back();
  EXPECT_NE(hub.Subscribe({}), nullptr);
}

TEST(WatchTest, AViewerLeavesPlacesToOthers) {
  WatchHub hub;
  std::vector<std::shared_ptr<Subscription>> held;
  for (int i = 0; i < kMaxSubscribersPerViewer; ++i) held.push_back(hub.Subscribe({}, 1000));
  EXPECT_EQ(hub.Subscribe({}, 1000), nullptr);
  EXPECT_NE(hub.Subscribe({}, 1001), nullptr);
  EXPECT_NE(hub.Subscribe({}), nullptr);
  held.pop_back();
  EXPECT_NE(hub.Subscribe({}, 1000), nullptr);
}

TEST(WatchTest, TooManyPendingNamesEndTheSubscription) {
  WatchHub hub;
  auto subscription = hub.Subscribe({});
  for (size_t i = 0; i <= kMaxPendingNames; ++i) hub.Notify(absl::StrCat("guests/g", i));
  EXPECT_TRUE(subscription->closed());
}

TEST(WatchTest, ASubscriberIsToldOfTheFirstNameAndOfTheEnd) {
  WatchHub hub;
  int told = 0;
  auto subscription = hub.Subscribe({"guests/"}, {}, [&] { ++told; });
  hub.Notify("nics/n");
  EXPECT_EQ(told, 0);
  hub.Notify("guests/a");
  hub.Notify("guests/b");
  EXPECT_EQ(told, 1);
  EXPECT_EQ(subscription->Take(), (std::vector<std::string>{"guests/a", "guests/b"}));
  hub.Notify("guests/a");
  EXPECT_EQ(told, 2);
  hub.CloseAll();
  hub.CloseAll();
  EXPECT_EQ(told, 3);
}

TEST(WatchTest, CloseAllEndsAndRefuses) {
  WatchHub hub;
  auto subscription = hub.Subscribe({});
  hub.CloseAll();
  EXPECT_TRUE(subscription->Take().empty());
  EXPECT_TRUE(subscription->closed());
  EXPECT_EQ(hub.Subscribe({}), nullptr);
}

class OperationsTest : public DaemonTest {};

TEST_F(OperationsTest, OldOnesGoRunningOnesStay) {
  Operations& operations = controller_->operations;
  std::string running = operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", "");
  std::string done = operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", "");
  operations.Succeed(done, "", std::nullopt);
  operations.Fail(done, "too late");
  EXPECT_EQ(operations.Find(done)->state(), v1::Operation::SUCCEEDED) << "an end is an end";
  scheduler_->Advance(absl::Hours(25));
  operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", "");
  EXPECT_EQ(operations.Find(done), nullptr);
  EXPECT_NE(operations.Find(running), nullptr);
  for (size_t i = 0; i < 2 * kMaxOperations; ++i) {
    operations.Succeed(operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", ""), "", std::nullopt);
  }
  EXPECT_LE(controller_->model.operations.size(), kMaxOperations + 1);
}

TEST_F(OperationsTest, AClockThatIsSetEndsNothing) {
  Operations& operations = controller_->operations;
  const std::string done = operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", "");
  operations.Succeed(done, "", std::nullopt);
  const auto begin = [&] { operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", ""); };
  for (const absl::Duration ahead : {absl::Hours(24 * 365), -absl::Hours(24 * 365)}) {
    scheduler_->SetWallAhead(ahead);
    begin();
    EXPECT_NE(operations.Find(done), nullptr);
  }
  scheduler_->Advance(absl::Hours(25));
  begin();
  EXPECT_EQ(operations.Find(done), nullptr) << "it stays no longer, either";
}

// What a daemon finds in its state ended by another boot's clock, or by a wrong one.
TEST_F(OperationsTest, ThoseOfAFormerDaemonAreKeptForADayFromNow) {
  Operations& operations = controller_->operations;
  v1::Operation& old = controller_->model.operations[7];
  old.set_name("operations/op7");
  old.set_state(v1::Operation::SUCCEEDED);
  old.mutable_end_time()->set_seconds(1);
  const auto begin = [&] { operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", ""); };
  begin();
  EXPECT_NE(operations.Find("operations/op7"), nullptr);
  scheduler_->Advance(absl::Hours(25));
  begin();
  EXPECT_EQ(operations.Find("operations/op7"), nullptr);
}

}  // namespace
}  // namespace librettos::daemon
