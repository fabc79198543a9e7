#include "hypervisor/xen/pci_sysfs.h"

#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "absl/cleanup/cleanup.h"
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

// PCI Local Bus 3.0, sections 6.7 and 6.8.2.3.
constexpr size_t kConfigBytes = 256, kHeaderBytes = 0x40, kCapabilities = 0x34;
constexpr uint8_t kMsiX = 0x11;
constexpr uint16_t kMsiXEnable = 1 << 15, kMsiXMaskAll = 1 << 14;

std::string ConfigOf(const std::string& root, const PciAddress& address) {
  return (fs::path(root) / "bus/pci/devices" / address.text() / "config").string();
}

// Offset and value of MSI-X's control word; offset 0: the function has no MSI-X.
struct Control {
  size_t offset = 0;
  uint16_t value = 0;
};

absl::StatusOr<Control> ReadControl(int config, const PciAddress& address) {
  std::array<uint8_t, kConfigBytes> bytes;
  if (config < 0 || pread(config, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return absl::UnavailableError(
        absl::StrCat("the configuration space of ", address.text(), " cannot be read"));
  }
  // The list is the device's and may be a loop.
  size_t at = bytes[kCapabilities] & 0xfc;
  for (size_t i = 0; i < kConfigBytes / 4 && at >= kHeaderBytes; ++i, at = bytes[at + 1] & 0xfc) {
    if (bytes[at] == kMsiX) return Control{at + 2, static_cast<uint16_t>(bytes[at + 2] | bytes[at + 3] << 8)};
  }
  return Control{};
}

}  // namespace

absl::StatusOr<bool> InterruptsMasked(const std::string& root, const PciAddress& address) {
  const int config = open(ConfigOf(root, address).c_str(), O_RDONLY | O_CLOEXEC);
  const absl::Cleanup close_config = [config] { close(config); };
  const auto control = ReadControl(config, address);
  if (!control.ok()) return control.status();
  return (control->value & kMsiXMaskAll) != 0;
}

absl::Status ClearInterrupts(const std::string& root, const PciAddress& address) {
  const int config = open(ConfigOf(root, address).c_str(), O_RDWR | O_CLOEXEC);
  const absl::Cleanup close_config = [config] { close(config); };
  const auto control = ReadControl(config, address);
  if (!control.ok()) return control.status();
  if (control->offset == 0) return absl::OkStatus();
  const uint16_t value = control->value & ~(kMsiXEnable | kMsiXMaskAll);
  const uint8_t bytes[] = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
  if (pwrite(config, bytes, sizeof(bytes), static_cast<off_t>(control->offset)) != ssize_t{sizeof(bytes)}) {
    return absl::UnavailableError(
        absl::StrCat("the configuration space of ", address.text(), " cannot be written"));
  }
  return absl::OkStatus();
}

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
