#include "guest/net/mode_switch.h"

#include <gtest/gtest.h>

#include <cstring>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

class ModeSwitchTest : public testing::Test {
 protected:
  ModeSwitchTest() : nic_(TestWorld::kGuestMac) {
    fake::RegisterNic("nics/one", &nic_);
    socket_ = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
    world_.TeachArp();
  }
  ~ModeSwitchTest() override {
    sockets::Close(socket_);
    fake::RegisterNic("nics/one", nullptr);
  }
  void GiveNic() {
    Device device = {};
    std::strcpy(device.name, "nics/one");
    device.kind = DeviceKind::kTap;
    device.mtu = 1500;
    world_.world().GiveDevice(TestWorld::kGuest, device);
  }
  void Ask(const std::string& value) {
    world_.world().Write(world_.Key("control/mode"), value);
    world_.world().RunUntilIdle();
  }
  void SendNumber(int number) {
    auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
    EXPECT_TRUE(sockets::SendTo(socket_, Text2Bytes(std::to_string(number)), peer).ok());
  }
  static void Collect(const Bytes& frame, std::vector<int>* out) {
    Layout layout = Dissect(frame.data(), frame.size());
    if (layout.protocol != kProtocolUdp) return;
    out->push_back(
        std::stoi(std::string(reinterpret_cast<const char*>(frame.data()) + 42, frame.size() - 42)));
  }
  std::vector<int> ByChannel(bool commit = true) {
    std::vector<int> numbers;
    for (auto& frame : world_.TakeSent(commit)) Collect(frame.bytes, &numbers);
    return numbers;
  }
  std::vector<int> ByNic() {
    std::vector<int> numbers;
    for (auto& frame : nic_.sent()) Collect(frame.bytes, &numbers);
    nic_.sent().clear();
    return numbers;
  }
  void GoDirect() {
    GiveNic();
    Ask("direct 1 1000 nics/one");
    world_.Turn();
    ASSERT_EQ(world_.DataMode().substr(0, 9), "direct 1 ") << world_.DataMode();
    world_.TakeSent();
    world_.controls().clear();
    nic_.sent().clear();
  }
  fake::FakeNic nic_;
  TestWorld world_;
  int socket_;
};

TEST_F(ModeSwitchTest, DirectHoldsUntilDrainedAndKeepsOrder) {
  EXPECT_EQ(world_.DataMode(), "server 0 0 0");
  SendNumber(1);
  world_.Turn();
  EXPECT_EQ(ByChannel(false), std::vector<int>({1}));  // The server is slow.
  GiveNic();
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "preparing-direct 1 0 0");
  SendNumber(2);
  SendNumber(3);
  world_.Advance(3'000'000);
  EXPECT_TRUE(nic_.sent().empty());
  EXPECT_EQ(ByChannel(), std::vector<int>({1}));
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "direct 1 3000 0");
  ASSERT_GE(nic_.sent().size(), 3u);
  EXPECT_EQ(Load16(&nic_.sent()[0].bytes[12]), 0x0806);  // Announced first.
  EXPECT_EQ(ByNic(), std::vector<int>({2, 3}));
  EXPECT_EQ(ByChannel(), std::vector<int>());
  ASSERT_EQ(world_.controls().size(), 1u);
  EXPECT_EQ(world_.controls()[0].value, 1u);
  EXPECT_EQ(world_.server().declared_mode(), channel::DeclaredMode::kDirect);
}

TEST_F(ModeSwitchTest, DrainDeadlineEndsInServerModeWithNothingLost) {
  SendNumber(1);
  world_.Turn();
  GiveNic();
  Ask("direct 1 50 nics/one");
  world_.Turn();
  SendNumber(2);
  world_.Advance(60'000'000);
  EXPECT_EQ(world_.DataMode(), "server 1 60000 0 drain-timeout");
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
  EXPECT_EQ(fake::OpenNics(), 0);
  EXPECT_EQ(ByChannel(), std::vector<int>({1, 2}));
  EXPECT_EQ(world_.server().declared_mode(), channel::DeclaredMode::kServer);
}

TEST_F(ModeSwitchTest, NoNicInTime) {
  Ask("direct 1 50 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "preparing-direct 1 0 0");
  world_.Advance(60'000'000);
  EXPECT_EQ(world_.DataMode(), "server 1 0 0 no-nic");
}

TEST_F(ModeSwitchTest, NicThatComesTooLateIsReturned) {
  Ask("direct 1 50 nics/one");
  world_.Turn();
  world_.Advance(60'000'000);
  GiveNic();
  world_.Turn();
  world_.Advance(ModeSwitch::kUnclaimed - 1);
  EXPECT_TRUE(world_.world().HoldsDevice(TestWorld::kGuest, "nics/one")) << "the request may be under way";
  world_.Advance(1);
  EXPECT_FALSE(world_.world().HoldsDevice(TestWorld::kGuest, "nics/one"));
  EXPECT_EQ(world_.DataMode(), "server 1 0 0 no-nic");
}

TEST_F(ModeSwitchTest, NicInUseIsNotReturnedHoweverLong) {
  GoDirect();
  world_.Advance(2 * ModeSwitch::kUnclaimed);
  EXPECT_TRUE(world_.world().HoldsDevice(TestWorld::kGuest, "nics/one"));
}

TEST_F(ModeSwitchTest, NicThatComesBeforeItsRequestIsUsed) {
  GiveNic();
  world_.Advance(ModeSwitch::kUnclaimed / 2);
  world_.TakeSent();  // What timers sent meanwhile.
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode().substr(0, 9), "direct 1 ");
}

TEST_F(ModeSwitchTest, NicThatDoesNotOpenIsReturned) {
  fake::RegisterNic("nics/one", nullptr);
  GiveNic();
  Ask("direct 1 50 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode().substr(0, 17), "server 1 0 0 nic-");
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
}

TEST_F(ModeSwitchTest, WhileTheNicIsBeingOpenedTheServerForwards) {
  fake::SetOpeningSteps(3);
  GiveNic();
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  for (int number = 1; number <= 3; ++number) {
    EXPECT_EQ(world_.DataMode(), "preparing-direct 1 0 0");
    SendNumber(number);
    world_.Turn();
    EXPECT_EQ(ByChannel(), std::vector<int>({number})) << "not held back";
    world_.Advance(ModeSwitch::kStepPause);
  }
  EXPECT_EQ(world_.DataMode(), "direct 1 0 0");
  fake::SetOpeningSteps(0);
}

TEST_F(ModeSwitchTest, WhileTheNicIsBeingClosedTheServerForwards) {
  fake::SetClosingSteps(3);
  GoDirect();
  fake::SetClosingSteps(0);
  Ask("server 2 1000 -");
  world_.Turn();
  world_.TakeSent();
  world_.Turn();
  world_.Advance(ModeSwitch::kQuiet);
  for (int number = 1; number < 3; ++number) {
    EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
    EXPECT_EQ(fake::OpenNics(), 1);
    SendNumber(number);
    world_.Turn();
    EXPECT_EQ(ByChannel(), std::vector<int>({number})) << "not held back";
    world_.Advance(ModeSwitch::kStepPause);
  }
  EXPECT_EQ(world_.DataMode(), "server 2 0 0");
  EXPECT_EQ(fake::OpenNics(), 0);
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
}

TEST_F(ModeSwitchTest, NicThatIsNotOpenInTimeIsReturned) {
  fake::SetOpeningSteps(UINT64_MAX);
  GiveNic();
  Ask("direct 1 50 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "preparing-direct 1 0 0");
  world_.Advance(60'000'000);
  EXPECT_EQ(world_.DataMode(), "server 1 0 0 open-timeout");
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
  EXPECT_EQ(fake::OpenNics(), 0);
  fake::SetOpeningSteps(0);
}

TEST_F(ModeSwitchTest, AnOpeningIsCancelledByANewerRequest) {
  fake::SetOpeningSteps(UINT64_MAX);
  GiveNic();
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  Ask("server 2 1000 -");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "server 2 0 0");
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
  EXPECT_EQ(fake::OpenNics(), 0);
  fake::SetOpeningSteps(0);
}

TEST_F(ModeSwitchTest, AnOpeningBeginsAgainForANewerRequestForTheSameNic) {
  fake::SetOpeningSteps(UINT64_MAX);
  GiveNic();
  Ask("direct 1 1000 nics/one");
  world_.Turn();
  fake::SetOpeningSteps(0);
  Ask("direct 2 1000 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "direct 2 0 0");
  EXPECT_TRUE(world_.world().returned_devices().empty());
}

TEST(ModeSwitchEnd, WhileANicIsBeingOpenedLeavesNothing) {
  fake::FakeNic nic(TestWorld::kGuestMac);
  fake::RegisterNic("nics/one", &nic);
  fake::SetOpeningSteps(UINT64_MAX);
  {
    TestWorld world;
    Device device = {};
    std::strcpy(device.name, "nics/one");
    device.kind = DeviceKind::kTap;
    world.world().GiveDevice(TestWorld::kGuest, device);
    world.world().Write(world.Key("control/mode"), "direct 1 1000 nics/one");
    world.world().RunUntilIdle();
    world.Turn();
    EXPECT_EQ(fake::OpenNics(), 1);
  }
  EXPECT_EQ(fake::OpenNics(), 0);
  fake::SetOpeningSteps(0);
  fake::RegisterNic("nics/one", nullptr);
}

TEST_F(ModeSwitchTest, TheNicReceivesTheGroupsOfTheGuestsAddresses) {
  GoDirect();
  EXPECT_FALSE(nic_.promiscuous());
  const auto has = [&](const MacAddress& group) {
    return std::count(nic_.groups().begin(), nic_.groups().end(), group);
  };
  EXPECT_EQ(has({0x33, 0x33, 0, 0, 0, 1}), 1) << "all nodes";
  EXPECT_EQ(has({0x33, 0x33, 0xff, 0, 0, 5}), 1) << "of fd00::5";
  EXPECT_EQ(has({0x33, 0x33, 0xff, 0, 0, 1}), 1) << "of the link-local address";
}

TEST_F(ModeSwitchTest, BackToServerWaitsForTheAnnouncementAndAQuietNic) {
  GoDirect();
  SendNumber(1);
  world_.Turn();
  EXPECT_EQ(ByNic(), std::vector<int>({1}));
  Ask("server 2 1000 -");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
  SendNumber(2);
  world_.Advance(1'000'000);
  EXPECT_EQ(ByChannel(), std::vector<int>({2}));
  EXPECT_TRUE(nic_.sent().empty());
  ASSERT_EQ(world_.controls().size(), 1u);
  EXPECT_EQ(world_.controls()[0].value, 0u);
  world_.Turn();
  world_.Advance(15'000'000);
  EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
  nic_.Inject(MakeUdp(9, 7, Text2Bytes("late")));
  world_.Turn();
  world_.Advance(15'000'000);
  EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
  world_.Advance(6'000'000);
  EXPECT_EQ(world_.DataMode(), "server 2 1000 0");
  EXPECT_EQ(fake::OpenNics(), 0);
  EXPECT_EQ(world_.world().returned_devices().size(), 1u);
}

// Until a slow server has announced the guest, the wire sends to the NIC.
TEST_F(ModeSwitchTest, BackToServerKeepsTheNicForAWhileAfterALateAnnouncement) {
  GoDirect();
  Ask("server 2 1000 -");
  world_.Turn();
  world_.Advance(50'000'000);
  world_.TakeSent();
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
  world_.Advance(19'000'000);
  EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0");
  world_.Advance(1'000'000);
  EXPECT_EQ(world_.DataMode(), "server 2 50000 0");
}

TEST_F(ModeSwitchTest, BackToServerAtTheDeadlineFromAWireThatIsNeverQuiet) {
  GoDirect();
  Ask("server 2 100 -");
  world_.Turn();
  for (int i = 0; i < 10; i++) {
    EXPECT_EQ(world_.DataMode(), "preparing-server 2 0 0") << i;
    nic_.Inject(MakeUdp(9, 7, Text2Bytes("chatter")));
    world_.TakeSent();
    world_.Advance(10'000'000);
  }
  EXPECT_EQ(world_.DataMode().substr(0, 9), "server 2 ");
  EXPECT_EQ(fake::OpenNics(), 0);
}

TEST_F(ModeSwitchTest, BackToDirectWhenTheServerDoesNotDrain) {
  GoDirect();
  Ask("server 2 50 -");
  world_.Turn();
  world_.Advance(60'000'000);
  EXPECT_EQ(world_.DataMode(), "direct 2 60000 0 drain-timeout");
  SendNumber(5);
  world_.Turn();
  EXPECT_EQ(ByNic(), std::vector<int>({5}));
  EXPECT_EQ(world_.server().declared_mode(), channel::DeclaredMode::kDirect);
}

TEST_F(ModeSwitchTest, ActsOncePerNumberAndIgnoresNonsense) {
  GoDirect();
  Ask("server 1 50 -");
  Ask("sideways 3 50 -");
  Ask("server x 50 -");
  Ask("server");
  world_.Turn();
  EXPECT_EQ(world_.DataMode().substr(0, 9), "direct 1 ");
  Ask("direct 4 50 nics/one");
  world_.Turn();
  EXPECT_EQ(world_.DataMode(), "direct 4 0 0");
}

TEST_F(ModeSwitchTest, GroupFramesComeOnlyByTheWayInUse) {
  GoDirect();
  auto address = sockets::Address::Any(sockets::Family::kIpv4, 7);
  int receiver = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  ASSERT_TRUE(sockets::Bind(receiver, address).ok());
  MacAddress all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  world_.Deliver(MakeUdp(9, 7, Text2Bytes("channel"), all));
  nic_.Inject(MakeUdp(9, 7, Text2Bytes("nic"), all));
  world_.Deliver(MakeUdp(9, 7, Text2Bytes("unicast")));
  world_.Turn();
  std::vector<std::string> got;
  Bytes buffer(64);
  for (;;) {
    auto n = sockets::ReceiveFrom(receiver, buffer, nullptr);
    if (!n.ok()) break;
    got.emplace_back(reinterpret_cast<char*>(buffer.data()), *n);
  }
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, std::vector<std::string>({"nic", "unicast"}));
  sockets::Close(receiver);
}

TEST(ModeSwitchShared, IsRefused) {
  TestWorld world({.shared = true});
  world.world().Write(world.Key("control/mode"), "direct 1 50 nics/one");
  world.world().RunUntilIdle();
  world.Turn();
  EXPECT_EQ(world.DataMode(), "server 1 0 0 shared-address");
}

}  // namespace
}  // namespace librettos::guest
