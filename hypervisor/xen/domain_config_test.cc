#include "hypervisor/xen/domain_config.h"

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

DomainPlan Plan() {
  DomainPlan plan;
  plan.id = 12;
  plan.name = HostName("guests/web", 12);
  libxl_uuid_clear(&plan.uuid);
  plan.image = "/images/guest.elf";
  plan.memory_mib = 64;
  plan.vcpus = 2;
  return plan;
}

TEST(DomainConfigTest, HostNameHasOnlyWhatFileNamesMayHave) {
  EXPECT_EQ(HostName("guests/web", 12), "guests-web-12");
  EXPECT_EQ(HostName("servers/net#3", 7), "servers-net-3-7");
}

TEST(DomainConfigTest, IsAnHvmDomainThatBootsTheImage) {
  DomainConfiguration configuration(Plan());
  const libxl_domain_config& config = *configuration.get();
  EXPECT_EQ(config.c_info.type, LIBXL_DOMAIN_TYPE_HVM);
  EXPECT_EQ(config.c_info.domid, 12u);
  EXPECT_STREQ(config.c_info.name, "guests-web-12");
  EXPECT_EQ(config.c_info.passthrough, LIBXL_PASSTHROUGH_ENABLED) << "functions are added later";
  EXPECT_STREQ(config.b_info.u.hvm.firmware, "/images/guest.elf");
  EXPECT_EQ(config.b_info.max_memkb, 64u << 10);
  EXPECT_EQ(config.b_info.target_memkb, 64u << 10);
  EXPECT_EQ(config.b_info.max_vcpus, 2);
  EXPECT_EQ(libxl_bitmap_count_set(&config.b_info.avail_vcpus), 2);
  EXPECT_EQ(config.num_disks, 0);
  EXPECT_EQ(config.num_nics, 0);
}

TEST(DomainConfigTest, FilesAreARawDiskThatIsNotEmulated) {
  DomainPlan plan = Plan();
  plan.disk = "/run/librettos/12.tar";
  DomainConfiguration configuration(plan);
  ASSERT_EQ(configuration.get()->num_disks, 1);
  const libxl_device_disk& disk = configuration.get()->disks[0];
  EXPECT_STREQ(disk.pdev_path, "/run/librettos/12.tar");
  EXPECT_STREQ(disk.vdev, "xvde");
  EXPECT_EQ(disk.format, LIBXL_DISK_FORMAT_RAW);
}

}  // namespace
}  // namespace librettos::xen
