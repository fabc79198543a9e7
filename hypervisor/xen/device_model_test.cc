#include "hypervisor/xen/device_model.h"

#include <string>

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

using namespace std::string_literals;

TEST(DeviceModelTest, IsKnownByItsArguments) {
  const std::string arguments =
      "/usr/libexec/xen-qemu-system-i386\0-xen-domid\0"
      "12\0-no-shutdown\0"s;
  EXPECT_TRUE(IsDeviceModelOf(12, arguments));
  EXPECT_FALSE(IsDeviceModelOf(1, arguments));
  EXPECT_FALSE(IsDeviceModelOf(2, arguments));
  EXPECT_FALSE(IsDeviceModelOf(12, "/bin/sh\0-c\0-xen-domid 12\0"s));
  EXPECT_FALSE(IsDeviceModelOf(12, ""));
}

}  // namespace
}  // namespace librettos::xen
