// Text in a buffer of fixed size: what the programs format lines, headers and JSON with.
//
// Never allocates and never overruns: what does not fit is cut, and overflowed() says so from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "guest/sockets/sockets.h"

namespace librettos::apps {

class Text {
 public:
  // `buffer` must outlive the object.
  explicit Text(std::span<char> buffer) : buffer_(buffer) {}

  Text& Add(std::string_view text);
  Text& Add(char c) { return Add(std::string_view(&c, 1)); }
  Text& AddNumber(uint64_t value);
  Text& AddSigned(int64_t value);
  // `value` / `unit`, with `decimals` (at most 9) digits after the point, cut rather than rounded.
  Text& AddFixed(uint64_t value, uint64_t unit, int decimals);
  // "10.0.0.1:80" or "[fd00::1]:80".
  Text& AddEndpoint(const sockets::Address& address);

  std::string_view view() const { return {buffer_.data(), used_}; }
  bool overflowed() const { return overflowed_; }
  void Clear() {
    used_ = 0;
    overflowed_ = false;
  }

 private:
  std::span<char> buffer_;
  size_t used_ = 0;
  bool overflowed_ = false;
};

// A Text with its buffer.
template <size_t kBytes>
class TextOf : public Text {
 public:
  TextOf() : Text(storage_) {}
  TextOf(const TextOf&) = delete;
  TextOf& operator=(const TextOf&) = delete;

 private:
  char storage_[kBytes];
};

using Line = TextOf<512>;  // One console line.

}  // namespace librettos::apps
