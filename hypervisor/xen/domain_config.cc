#include "hypervisor/xen/domain_config.h"

#include <stdlib.h>
#include <string.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

// The first name of a disk that the device model does not also emulate.
constexpr char kFilesDisk[] = "xvde";

char* Copy(const std::string& text) { return strdup(text.c_str()); }  // libxl frees it.

}  // namespace

std::string HostName(const std::string& name, hypervisor::DomainId id) {
  std::string flat = name.substr(0, 48);
  for (char& c : flat) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-') c = '-';
  }
  return absl::StrCat(flat, "-", id);
}

DomainConfiguration::DomainConfiguration(const DomainPlan& plan) {
  libxl_domain_config_init(&config_);
  libxl_domain_create_info& create = config_.c_info;
  create.type = LIBXL_DOMAIN_TYPE_HVM;  // PVH domains cannot have a PCI function in Xen 4.17.
  create.domid = plan.id;
  create.name = Copy(plan.name);
  create.uuid = plan.uuid;
  create.passthrough = LIBXL_PASSTHROUGH_ENABLED;  // Also without a function yet: they come and go.

  libxl_domain_build_info& build = config_.b_info;
  libxl_domain_build_info_init_type(&build, LIBXL_DOMAIN_TYPE_HVM);
  build.max_vcpus = static_cast<int>(plan.vcpus);
  // By hand: libxl_bitmap_alloc wants a context, which there is only on Xen.
  build.avail_vcpus.size = (plan.vcpus + 7) / 8;
  build.avail_vcpus.map = static_cast<uint8_t*>(calloc(build.avail_vcpus.size, 1));
  for (uint32_t i = 0; i < plan.vcpus; ++i) libxl_bitmap_set(&build.avail_vcpus, static_cast<int>(i));
  build.max_memkb = build.target_memkb = uint64_t{plan.memory_mib} << 10;
  build.device_model_version = LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN;
  build.u.hvm.firmware = Copy(plan.image);
  libxl_defbool_set(&build.u.hvm.xen_platform_pci, true);
  libxl_defbool_set(&build.u.hvm.nographic, true);
  build.u.hvm.vga.kind = LIBXL_VGA_INTERFACE_TYPE_NONE;
  libxl_defbool_set(&build.u.hvm.vnc.enable, false);
  libxl_defbool_set(&build.u.hvm.sdl.enable, false);
  libxl_defbool_set(&build.u.hvm.spice.enable, false);
  libxl_defbool_set(&build.u.hvm.usb, false);
  libxl_defbool_set(&build.u.hvm.vkb_device, false);

  if (plan.disk.empty()) return;
  config_.num_disks = 1;
  config_.disks = static_cast<libxl_device_disk*>(calloc(1, sizeof(libxl_device_disk)));
  libxl_device_disk& disk = config_.disks[0];
  libxl_device_disk_init(&disk);
  disk.pdev_path = Copy(plan.disk);
  disk.vdev = Copy(kFilesDisk);
  disk.format = LIBXL_DISK_FORMAT_RAW;
  disk.backend = LIBXL_DISK_BACKEND_QDISK;  // The device model serves it: no loop device, no script.
  // QEMU 7.2 does not serve a read-only raw file to a domain. The archive is this domain's own copy, of fixed
  // size, which nobody else reads.
  disk.readwrite = 1;
}

}  // namespace librettos::xen
