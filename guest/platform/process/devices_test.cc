#include "guest/platform/process/devices.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>

#include "guest/platform/process/test_daemon.h"
#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

class DevicesTest : public ::testing::Test {
 protected:
  void Give(TestDaemon& daemon, const char* name, uint32_t number = 1) {
    const std::string address = {2, 0, 0, 0, 0, 5};
    ASSERT_TRUE(daemon.Send({.type = WireType::kDevice,
                             .number = number,
                             .a = static_cast<uint32_t>(DeviceKind::kTap),
                             .b = 1500,
                             .path = name,
                             .value = address,
                             .descriptors = {null_.get(), -1}}));
    domain_.Turn();
  }
  Domain domain_{7};
  Descriptor null_{open("/dev/null", O_RDWR | O_CLOEXEC)};
  Given given_;
};

TEST_F(DevicesTest, HandOverAndReturn) {
  domain_.platform().devices().SetObserver(&given_);
  Give(*domain_.daemon, "nic0");
  ASSERT_EQ(given_.devices.size(), 1u);
  const Device& device = given_.devices[0];
  EXPECT_STREQ(device.name, "nic0");
  EXPECT_EQ(device.mtu, 1500u);
  EXPECT_EQ(device.address[5], 5);
  EXPECT_GE(fcntl(device.descriptor, F_GETFD), 0);
  domain_.platform().devices().Return("nic0");
  EXPECT_LT(fcntl(device.descriptor, F_GETFD), 0);
  const auto returned = Only(domain_.Messages(), WireType::kReturnDevice);
  ASSERT_EQ(returned.size(), 1u);
  EXPECT_EQ(returned[0].path, "nic0");
  Give(*domain_.daemon, "nic0");
  EXPECT_EQ(given_.devices.size(), 2u);
}

TEST_F(DevicesTest, LateObserverIsToldOfWhatIsHeld) {
  Give(*domain_.daemon, "nic0");
  domain_.platform().devices().SetObserver(&given_);
  EXPECT_TRUE(given_.devices.empty());  // Only from the loop.
  domain_.Turn();
  EXPECT_EQ(given_.devices.size(), 1u);
}

TEST_F(DevicesTest, HoldingIsDeclaredToTheNextDaemon) {
  Give(*domain_.daemon, "nic0");
  Give(*domain_.daemon, "nic1");
  domain_.daemon->Close();
  domain_.Turn();
  domain_.platform().devices().Return("nic1");
  auto next = domain_.Connect();
  std::vector<std::string> held, returned;
  for (const Packet& message : domain_.Messages(*next)) {
    if (message.type() == WireType::kHolding) {
      held.push_back(message.path);
      EXPECT_EQ(message.descriptors.size(), 1u);
    }
    if (message.type() == WireType::kReturnDevice) returned.push_back(message.path);
  }
  EXPECT_EQ(held, std::vector<std::string>{"nic0"});
  EXPECT_EQ(returned, std::vector<std::string>{"nic1"});
  // A daemon that gives what is held already changes nothing.
  domain_.platform().devices().SetObserver(&given_);
  Give(*next, "nic0");
  EXPECT_EQ(given_.devices.size(), 1u);
}

TEST_F(DevicesTest, ReturnIsDeclaredUntilTheDeviceIsGivenAgain) {
  Give(*domain_.daemon, "nic0", 5);
  domain_.platform().devices().Return("nic0");
  domain_.daemon->Close();  // Without having read it.
  domain_.Turn();
  for (int connection = 0; connection < 2; ++connection) {
    domain_.daemon = domain_.Connect();
    const auto returned = Only(domain_.Messages(), WireType::kReturnDevice);
    ASSERT_EQ(returned.size(), 1u) << "connection " << connection;
    EXPECT_EQ(returned[0].path, "nic0");
    EXPECT_EQ(returned[0].header.number, 5u);
  }
  Give(*domain_.daemon, "nic0", 6);
  domain_.daemon->Close();
  domain_.Turn();
  auto next = domain_.Connect();
  std::vector<Packet> messages = domain_.Messages(*next);
  const auto held = std::find_if(messages.begin(), messages.end(),
                                 [](const Packet& packet) { return packet.type() == WireType::kHolding; });
  ASSERT_NE(held, messages.end());
  EXPECT_EQ(held->header.number, 6u);
  EXPECT_TRUE(Only(std::move(messages), WireType::kReturnDevice).empty()) << "it holds the device again";
}

TEST_F(DevicesTest, ObserverMayReturnWithinItsCall) {
  struct Returns : DeviceObserver {
    void OnDevice(const Device& device) override {
      ++calls;
      devices->Return(device.name);
    }
    int calls = 0;
    Devices* devices;
  } returns;
  returns.devices = &domain_.platform().devices();
  Give(*domain_.daemon, "nic0");
  Give(*domain_.daemon, "nic1");
  returns.devices->SetObserver(&returns);
  domain_.Turn();
  EXPECT_EQ(returns.calls, 2);
  EXPECT_EQ(Only(domain_.Messages(), WireType::kReturnDevice).size(), 2u);
}

TEST_F(DevicesTest, NameOf64CharactersIsMalformed) {
  Give(*domain_.daemon, std::string(63, 'n').c_str());
  EXPECT_FALSE(domain_.daemon->Closed());
  Give(*domain_.daemon, std::string(64, 'n').c_str());
  EXPECT_TRUE(domain_.daemon->Closed());
}

}  // namespace
}  // namespace librettos::process
