// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): the same on every host and release, which
// absl::Hash is not. For names and against rot, not against an attacker.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace librettos {

constexpr uint64_t Fnv1a(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace librettos
