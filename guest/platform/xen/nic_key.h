// The value of device/nic/<name>: "<slot> <mac> <mtu>" (docs/xen.md, "Registry").
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/platform/result.h"

namespace librettos::xen {

struct NicKey {
  unsigned slot;
  uint8_t address[6];
  uint32_t mtu;
};

// kInvalidArgument: it is none.
Result<NicKey> ParseNicKey(std::string_view value);

}  // namespace librettos::xen
