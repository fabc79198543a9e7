// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for short messages, used to make lease tokens that
// a guest cannot forge.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos::netserver {

using SipKey = std::array<uint8_t, 16>;

uint64_t SipHash24(const SipKey& key, std::span<const uint8_t> message);

}  // namespace librettos::netserver
