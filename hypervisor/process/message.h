// One packet of the control socket (wire.h), checked.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {

inline constexpr size_t kMaxPacketBytes = sizeof(WireHeader) + kMaxPathBytes + kMaxValueBytes;
inline constexpr size_t kMaxDescriptors = 2;

struct Message {
  WireType type = WireType::kHello;
  uint32_t id = 0;
  uint32_t number = 0;
  uint32_t a = 0;
  uint64_t b = 0;
  std::string path = {};
  std::string value = {};
  std::vector<SharedDescriptor> descriptors = {};
};

// The packet without its descriptors.
std::string Encode(const Message& message);

// Checks a packet from a domain wholly: lengths, type, whether path, value and the number of descriptors suit
// the type, and the characters of paths and names. InvalidArgument says what is wrong.
absl::StatusOr<Message> DecodeFromDomain(absl::string_view packet, std::vector<SharedDescriptor> descriptors);

}  // namespace librettos::process
