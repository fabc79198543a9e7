#include "guest/apps/text.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace librettos::apps {
namespace {

void AddHex(Text& out, uint16_t value) {
  char digits[4];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16);
  out.Add({digits, static_cast<size_t>(end.ptr - digits)});
}

// RFC 5952: lower case, no leading zeros, the longest run of at least two zero groups (the first of equals)
// as "::".
void AddIpv6(Text& out, const uint8_t* bytes) {
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  int best = -1, best_length = 1;
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best_length) best = i, best_length = end - i;
    i = end == i ? i + 1 : end;
  }
  for (int i = 0; i < 8;) {
    if (i == best) {
      out.Add("::");
      i += best_length;
      continue;
    }
    if (i > 0 && i != best + best_length) out.Add(':');
    AddHex(out, groups[i++]);
  }
}

}  // namespace

Text& Text::Add(std::string_view text) {
  const size_t fits = std::min(text.size(), buffer_.size() - used_);
  if (fits != 0) std::memcpy(buffer_.data() + used_, text.data(), fits);
  used_ += fits;
  if (fits < text.size()) overflowed_ = true;
  return *this;
}

Text& Text::AddNumber(uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  return Add({digits, static_cast<size_t>(end.ptr - digits)});
}

Text& Text::AddSigned(int64_t value) {
  if (value >= 0) return AddNumber(static_cast<uint64_t>(value));
  return Add('-').AddNumber(uint64_t{0} - static_cast<uint64_t>(value));
}

Text& Text::AddFixed(uint64_t value, uint64_t unit, int decimals) {
  AddNumber(value / unit);
  if (decimals <= 0) return *this;
  Add('.');
  uint64_t rest = value % unit;
  for (int i = 0; i < decimals && i < 9; ++i) {
    // unit * 10 must not overflow; units here are at most 1e10.
    rest *= 10;
    Add(static_cast<char>('0' + rest / unit));
    rest %= unit;
  }
  return *this;
}

Text& Text::AddEndpoint(const sockets::Address& address) {
  if (address.family == sockets::Family::kIpv4) {
    for (int i = 0; i < 4; ++i) {
      if (i != 0) Add('.');
      AddNumber(address.bytes[i]);
    }
  } else {
    Add('[');
    AddIpv6(*this, address.bytes);
    Add(']');
  }
  return Add(':').AddNumber(address.port);
}

}  // namespace librettos::apps
