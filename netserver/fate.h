// What becomes of a frame: handed on, or dropped for one counted reason.
#pragma once

#include <cstdint>

#include "netserver/counters.h"

namespace librettos::netserver {

// The value of a reason is its column (counters.h).
enum class Fate : uint8_t {
  kForwarded = 0,
#define LIBRETTOS_FATE(name, column) k_##name = column,
  LIBRETTOS_DROP_REASONS(LIBRETTOS_FATE)
#undef LIBRETTOS_FATE
};

constexpr Counter ToCounter(Fate fate) { return static_cast<Counter>(fate); }

}  // namespace librettos::netserver
