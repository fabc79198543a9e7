// Puts short lines together without allocation. What does not fit is cut off.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace librettos::guest {

class Text {
 public:
  Text& operator<<(std::string_view text) {
    size_t bytes = text.size() < sizeof(data_) - size_ ? text.size() : sizeof(data_) - size_;
    std::memcpy(data_ + size_, text.data(), bytes);
    size_ += bytes;
    return *this;
  }
  Text& operator<<(uint64_t number) {
    char digits[20];
    auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }
  std::string_view view() const { return {data_, size_}; }
  // With a terminating zero, for kept paths. `out` has room for all of it or it is cut.
  template <size_t N>
  void CopyTo(char (&out)[N]) const {
    size_t bytes = size_ < N - 1 ? size_ : N - 1;
    std::memcpy(out, data_, bytes);
    out[bytes] = 0;
  }

 private:
  char data_[256];
  size_t size_ = 0;
};

}  // namespace librettos::guest
