// What a guest says about its mode: the value of its key data/mode. Hostile input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "librettos/v1/guest.pb.h"

namespace librettos::daemon {

struct ModeReport {
  v1::Mode mode = v1::SERVER;  // In which frames travel; while preparing, the one that is being left.
  v1::GuestStatus::Transition transition = v1::GuestStatus::TRANSITION_UNSPECIFIED;
  uint32_t change = 0;
  uint64_t pause_us = 0;
  uint64_t lost = 0;
  std::string reason;
};

// nullopt: malformed.
std::optional<ModeReport> ParseModeReport(absl::string_view value);

}  // namespace librettos::daemon
