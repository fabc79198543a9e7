// A fuzzer's input, taken apart into small decisions, and what a fuzz test says when something does not hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

namespace librettos {

// Ends the process, which is what a fuzzer looks for. Not EXPECT: libFuzzer knows no failed expectations.
#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

// Numbers are little-endian; what is asked for beyond the end is zero.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  size_t size() const { return left_.size(); }
  uint8_t U8() { return static_cast<uint8_t>(Number(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Number(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Number(4)); }
  uint64_t U64() { return Number(8); }
  // Up to `count` bytes, as many as there are.
  std::span<const std::byte> Take(size_t count) {
    const auto taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return std::as_bytes(taken);
  }
  std::string_view Text(size_t count) {
    const auto taken = Take(count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  std::span<const std::byte> Rest() { return Take(left_.size()); }

 private:
  uint64_t Number(size_t bytes) {
    const auto taken = Take(bytes);
    uint64_t number = 0;
    for (size_t i = 0; i < taken.size(); ++i) number |= static_cast<uint64_t>(taken[i]) << (8 * i);
    return number;
  }
  std::span<const uint8_t> left_;
};

}  // namespace librettos
