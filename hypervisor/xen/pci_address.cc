#include "hypervisor/xen/pci_address.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

constexpr size_t kLength = sizeof("0000:00:00.0") - 1;

}  // namespace

std::string PciAddress::text() const {
  return absl::StrCat(absl::Hex(domain, absl::kZeroPad4), ":", absl::Hex(bus, absl::kZeroPad2), ":",
                      absl::Hex(device, absl::kZeroPad2), ".", static_cast<int>(function));
}

std::optional<PciAddress> PciAddress::Parse(absl::string_view text) {
  if (text.size() != kLength || text[4] != ':' || text[7] != ':' || text[10] != '.') return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i != 4 && i != 7 && i != 10 && !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return std::nullopt;
    }
  }
  uint32_t domain = 0, bus = 0, device = 0, function = 0;
  if (!absl::SimpleHexAtoi(text.substr(0, 4), &domain) || !absl::SimpleHexAtoi(text.substr(5, 2), &bus) ||
      !absl::SimpleHexAtoi(text.substr(8, 2), &device) || !absl::SimpleHexAtoi(text.substr(11), &function) ||
      device > 31 || function > 7) {
    return std::nullopt;
  }
  return PciAddress{static_cast<uint16_t>(domain), static_cast<uint8_t>(bus), static_cast<uint8_t>(device),
                    static_cast<uint8_t>(function)};
}

}  // namespace librettos::xen
