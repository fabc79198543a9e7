// A short line put together without allocation: registry paths and values, log lines.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace librettos::netserver {

// What does not fit is cut off, and full() says so.
class Text {
 public:
  Text& Add(std::string_view text) {
    size_t room = bytes_.size() - size_;
    full_ |= text.size() > room;
    size_t count = text.size() < room ? text.size() : room;
    memcpy(bytes_.data() + size_, text.data(), count);
    size_ += count;
    return *this;
  }
  Text& Add(uint64_t number) {
    char digits[20];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    return Add(std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  std::string_view view() const { return {bytes_.data(), size_}; }
  bool full() const { return full_; }

 private:
  std::array<char, 256> bytes_;
  size_t size_ = 0;
  bool full_ = false;
};

}  // namespace librettos::netserver
