// A registry path or value under construction, and the reading of numbers in one. No allocation; what does
// not fit is cut and makes full() true (registry limits: docs/protocols.md, Quotas).
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace librettos::channel {

class Text {
 public:
  Text& Add(std::string_view text) {
    const size_t room = sizeof(bytes_) - length_;
    full_ = full_ || text.size() > room;
    const size_t bytes = text.size() < room ? text.size() : room;
    if (bytes) std::memcpy(bytes_ + length_, text.data(), bytes);
    length_ += bytes;
    return *this;
  }
  Text& Add(uint32_t number) {
    char digits[10];
    const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
    return Add(std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  std::string_view view() const { return {bytes_, length_}; }
  bool full() const { return full_; }

 private:
  char bytes_[256];
  size_t length_ = 0;
  bool full_ = false;
};

// The whole of `text` as a decimal number.
inline std::optional<uint32_t> ParseNumber(std::string_view text) {
  uint32_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// What follows `prefix` and a slash in `path`; empty if `path` is not below `prefix`.
inline std::string_view Below(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return {};
  path.remove_prefix(prefix.size());
  if (path.empty() || path[0] != '/') return {};
  return path.substr(1);
}

}  // namespace librettos::channel
