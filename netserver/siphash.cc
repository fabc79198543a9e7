#include "netserver/siphash.h"

#include <bit>

namespace librettos::netserver {
namespace {

uint64_t LoadLittle(const uint8_t* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void Absorb(uint64_t word) {
    v3 ^= word;
    Round(), Round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t SipHash24(const SipKey& key, std::span<const uint8_t> message) {
  uint64_t k0 = LoadLittle(key.data(), 8), k1 = LoadLittle(key.data() + 8, 8);
  State state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
              k1 ^ 0x7465646279746573};
  size_t whole = message.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) state.Absorb(LoadLittle(message.data() + i, 8));
  state.Absorb(LoadLittle(message.data() + whole, message.size() - whole) | uint64_t{message.size()} << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace librettos::netserver
