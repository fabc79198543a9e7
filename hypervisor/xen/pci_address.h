// The address of a PCI function as people write it, "0000:03:00.0". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace librettos::xen {

struct PciAddress {
  uint16_t domain = 0;
  uint8_t bus = 0;
  uint8_t device = 0;    // 0 to 31
  uint8_t function = 0;  // 0 to 7

  bool operator==(const PciAddress&) const = default;
  std::string text() const;
  // The whole form only, in small or capital letters.
  static std::optional<PciAddress> Parse(absl::string_view text);
};

}  // namespace librettos::xen
