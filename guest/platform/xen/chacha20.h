// The ChaCha20 block function (RFC 8439, section 2.3), with a counter of 64 bits and a nonce of zero.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace librettos::xen {

using ChaCha20Key = std::array<uint32_t, 8>;
using ChaCha20Block = std::array<uint32_t, 16>;

constexpr void ChaCha20Quarter(ChaCha20Block& x, int a, int b, int c, int d) {
  x[a] += x[b];
  x[d] = std::rotl(x[d] ^ x[a], 16);
  x[c] += x[d];
  x[b] = std::rotl(x[b] ^ x[c], 12);
  x[a] += x[b];
  x[d] = std::rotl(x[d] ^ x[a], 8);
  x[c] += x[d];
  x[b] = std::rotl(x[b] ^ x[c], 7);
}

constexpr ChaCha20Block ChaCha20(const ChaCha20Key& key, uint64_t counter, uint64_t nonce = 0) {
  ChaCha20Block in{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int i = 0; i < 8; ++i) in[4 + i] = key[i];
  in[12] = static_cast<uint32_t>(counter);
  in[13] = static_cast<uint32_t>(counter >> 32);
  in[14] = static_cast<uint32_t>(nonce);
  in[15] = static_cast<uint32_t>(nonce >> 32);
  ChaCha20Block x = in;
  for (int i = 0; i < 10; ++i) {
    ChaCha20Quarter(x, 0, 4, 8, 12);
    ChaCha20Quarter(x, 1, 5, 9, 13);
    ChaCha20Quarter(x, 2, 6, 10, 14);
    ChaCha20Quarter(x, 3, 7, 11, 15);
    ChaCha20Quarter(x, 0, 5, 10, 15);
    ChaCha20Quarter(x, 1, 6, 11, 12);
    ChaCha20Quarter(x, 2, 7, 8, 13);
    ChaCha20Quarter(x, 3, 4, 9, 14);
  }
  for (int i = 0; i < 16; ++i) x[i] += in[i];
  return x;
}

}  // namespace librettos::xen
