#include "hypervisor/xen/pci_sysfs.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "hypervisor/xen/xen_hypervisor.h"

namespace librettos::xen {
namespace {

namespace fs = std::filesystem;

TEST(PciAddressTest, TakesTheWholeFormOnly) {
  auto address = PciAddress::Parse("0000:03:1F.7");
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(*address, (PciAddress{0, 3, 31, 7}));
  EXPECT_EQ(address->text(), "0000:03:1f.7");
  for (const char* text : {"03:00.0", "0000:03:00.8", "0000:03:20.0", "0000:03:00.0 ", "0000:03:0x.0", "",
                           "0000-03:00.0", "+000:03:00.0"}) {
    EXPECT_FALSE(PciAddress::Parse(text).has_value()) << text;
  }
}

class PciSysfsTest : public ::testing::Test {
 protected:
  PciSysfsTest() {
    std::string name = ::testing::TempDir() + "/sysfs-XXXXXX";
    root_ = mkdtemp(name.data());
    Put("class", "0x020000\n");
  }
  ~PciSysfsTest() override { fs::remove_all(root_); }
  void Put(const std::string& name, const std::string& content) {
    const fs::path path = device_() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  void Drive(const std::string& driver) {
    fs::create_directories(root_ / "bus/pci/drivers" / driver);
    fs::create_directory_symlink("../../../../bus/pci/drivers/" + driver, device_() / "driver");
  }
  fs::path device_() { return root_ / "bus/pci/devices/0000:03:00.0"; }
  absl::StatusOr<PciSysfs> Read() { return ReadPciSysfs(root_, kAddress); }

  static constexpr PciAddress kAddress = {0, 3, 0, 0};
  fs::path root_;
};

TEST_F(PciSysfsTest, TellsWhatDomain0Drives) {
  Drive("e1000e");
  Put("net/eth0/address", "52:54:00:00:00:04\n");
  Put("net/eth0/mtu", "9000\n");
  auto info = Read();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->driver, "e1000e");
  EXPECT_FALSE(info->assignable());
  EXPECT_EQ(info->address, "52:54:00:00:00:04");
  EXPECT_EQ(info->mtu, 9000u);
  EXPECT_EQ(info->up, "");
}

TEST_F(PciSysfsTest, TellsWhichInterfaceIsUp) {
  Put("net/eth0/flags", "0x1002\n");
  EXPECT_EQ(Read()->up, "");
  Put("net/eth0/flags", "0x1003\n");
  EXPECT_EQ(Read()->up, "eth0");
}

TEST_F(PciSysfsTest, FindsTheInterfaceOfAFunctionWithABusOfItsOwn) {
  Drive("virtio-pci");
  Put("virtio0/net/eth0/address", "52:54:00:00:00:05\n");
  EXPECT_EQ(Read()->address, "52:54:00:00:00:05");
}

TEST_F(PciSysfsTest, AnAssignableFunctionHasNoInterface) {
  Drive("pciback");
  auto info = Read();
  ASSERT_TRUE(info.ok());
  EXPECT_TRUE(info->assignable());
  EXPECT_EQ(info->address, "");
  EXPECT_EQ(info->mtu, 0u);
}

TEST_F(PciSysfsTest, RefusesWhatIsNoNetworkController) {
  Put("class", "0x010802\n");
  EXPECT_TRUE(absl::IsInvalidArgument(Read().status()));
  EXPECT_TRUE(absl::IsNotFound(ReadPciSysfs(root_, {0, 4, 0, 0}).status()));
}

TEST_F(PciSysfsTest, KnowsTheControlDomain) {
  EXPECT_FALSE(IsControlDomain(root_));
  const auto put = [&](const std::string& name, const std::string& content) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << content;
  };
  put("sys/hypervisor/type", "xen\n");
  put("sys/hypervisor/uuid", "3b7c1e9a-0000-0000-0000-000000000000\n");
  EXPECT_FALSE(IsControlDomain(root_)) << "some other domain";
  put("sys/hypervisor/uuid", "00000000-0000-0000-0000-000000000000\n");
  EXPECT_TRUE(IsControlDomain(root_));
  fs::remove_all(root_ / "sys");
  put("proc/xen/capabilities", "control_d\n");
  EXPECT_TRUE(IsControlDomain(root_));
}

}  // namespace
}  // namespace librettos::xen
