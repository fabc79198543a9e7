// The part that a server plays: "standby", "active <epoch>" or "quiesced <epoch>" (docs/protocols.md).
#pragma once

#include <cstdint>
#include <string_view>

#include "netserver/address.h"

namespace librettos::netserver {

struct Role {
  enum class Kind : uint8_t { kStandby, kActive, kQuiesced };
  Kind kind = Kind::kStandby;
  uint32_t epoch = 0;  // Of kActive and kQuiesced, never 0.

  bool operator==(const Role&) const = default;

  // False: it is none of the forms; `out` is left alone.
  static bool Parse(std::string_view text, Role& out) {
    std::string_view word = NextWord(text), number = NextWord(text);
    if (!NextWord(text).empty()) return false;
    if (word == "standby" && number.empty()) {
      out = {};
      return true;
    }
    uint64_t epoch;
    if ((word != "active" && word != "quiesced") || !ParseNumber(number, UINT32_MAX, epoch) || !epoch)
      return false;
    out = {word == "active" ? Kind::kActive : Kind::kQuiesced, static_cast<uint32_t>(epoch)};
    return true;
  }
};

}  // namespace librettos::netserver
