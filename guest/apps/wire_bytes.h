// Big-endian numbers in bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace librettos::apps {

inline void Put32(std::byte* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(value >> (24 - 8 * i));
}
inline void Put64(std::byte* out, uint64_t value) {
  Put32(out, static_cast<uint32_t>(value >> 32));
  Put32(out + 4, static_cast<uint32_t>(value));
}
inline uint32_t Get32(const std::byte* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint32_t>(in[i]);
  return value;
}
inline uint64_t Get64(const std::byte* in) { return uint64_t{Get32(in)} << 32 | Get32(in + 4); }

}  // namespace librettos::apps
