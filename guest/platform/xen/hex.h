// A number in hexadecimal, for reports: "0x" and as many digits as it has.
#pragma once

#include <cstdint>
#include <string_view>

namespace librettos::xen {

class Hex {
 public:
  explicit Hex(uint64_t value) {
    do {
      digits_[--begin_] = "0123456789abcdef"[value & 15];
      value >>= 4;
    } while (value);
    digits_[--begin_] = 'x';
    digits_[--begin_] = '0';
  }
  // Valid as long as this.
  std::string_view text() const { return {digits_ + begin_, sizeof digits_ - begin_}; }

 private:
  char digits_[18];
  unsigned begin_ = sizeof digits_;
};

}  // namespace librettos::xen
