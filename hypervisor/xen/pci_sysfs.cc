#include "hypervisor/xen/pci_sysfs.h"

#include <net/if.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kNetworkController = 0x02;  // PCI Code and ID Assignment, base class.

std::string Line(const fs::path& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return std::string(absl::StripAsciiWhitespace(line));
}

// Of the interface itself, or one level deeper for functions with a bus of their own (virtio).
void ReadInterface(const fs::path& directory, PciSysfs* info) {
  std::error_code error;
  for (const auto& interface : fs::directory_iterator(directory / "net", error)) {
    info->address = Line(interface.path() / "address");
    if (!absl::SimpleAtoi(Line(interface.path() / "mtu"), &info->mtu)) info->mtu = 0;
    uint32_t flags = 0;
    if (absl::SimpleHexAtoi(Line(interface.path() / "flags"), &flags) && (flags & IFF_UP) != 0) {
      info->up = interface.path().filename().string();
    }
    return;
  }
}

}  // namespace

absl::StatusOr<PciSysfs> ReadPciSysfs(const std::string& root, const PciAddress& address) {
  const fs::path directory = fs::path(root) / "bus/pci/devices" / address.text();
  std::error_code error;
  if (!fs::exists(directory, error)) {
    return absl::NotFoundError(absl::StrCat("there is no PCI function ", address.text(), "; see lspci -D"));
  }
  uint32_t type = 0;
  if (!absl::SimpleHexAtoi(Line(directory / "class"), &type) || type >> 16 != kNetworkController) {
    return absl::InvalidArgumentError(
        absl::StrCat("PCI function ", address.text(), " is not a network controller; see lspci -D"));
  }
  PciSysfs info;
  const fs::path driver = fs::read_symlink(directory / "driver", error);
  if (!error) info.driver = driver.filename().string();
  ReadInterface(directory, &info);
  for (const auto& child : fs::directory_iterator(directory, error)) {
    if (!info.address.empty()) break;
    if (child.is_directory(error) && !child.is_symlink(error)) ReadInterface(child.path(), &info);
  }
  return info;
}

}  // namespace librettos::xen
