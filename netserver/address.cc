#include "netserver/address.h"

#include <charconv>

namespace librettos::netserver {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool ParseV4(std::string_view text, uint32_t& out) {
  out = 0;
  for (int i = 0; i < 4; ++i) {
    size_t dot = i < 3 ? text.find('.') : text.size();
    uint64_t byte;
    if (dot == std::string_view::npos || dot > 3 || !ParseNumber(text.substr(0, dot), 255, byte))
      return false;
    if (dot > 1 && text[0] == '0') return false;  // Octal to some readers.
    out = out << 8 | static_cast<uint32_t>(byte);
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return true;
}

bool ParseV6(std::string_view text, Address& out) {
  uint16_t groups[8] = {};
  int count = 0, gap = -1;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (count == 8) return false;
    size_t end = text.find(':');
    std::string_view group = text.substr(0, end);
    if (group.find('.') != std::string_view::npos) {  // Dotted tail.
      uint32_t v4;
      if (end != std::string_view::npos || count > 6 || !ParseV4(group, v4)) return false;
      groups[count++] = static_cast<uint16_t>(v4 >> 16);
      groups[count++] = static_cast<uint16_t>(v4);
      break;
    }
    if (group.empty() || group.size() > 4) return false;
    unsigned value = 0;
    for (char c : group) {
      int digit = HexDigit(c);
      if (digit < 0) return false;
      value = value << 4 | static_cast<unsigned>(digit);
    }
    groups[count++] = static_cast<uint16_t>(value);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    if (text.starts_with(':')) {
      if (gap >= 0) return false;
      gap = count;
      text.remove_prefix(1);
    } else if (text.empty()) {
      return false;  // A single trailing colon.
    }
  }
  if (gap < 0 ? count != 8 : count > 7) return false;
  uint16_t full[8] = {};
  int tail = gap < 0 ? 0 : count - gap;
  for (int i = 0; i < count - tail; ++i) full[i] = groups[i];
  for (int i = 0; i < tail; ++i) full[8 - tail + i] = groups[count - tail + i];
  out = {};
  for (int i = 0; i < 4; ++i) out.high = out.high << 16 | full[i];
  for (int i = 4; i < 8; ++i) out.low = out.low << 16 | full[i];
  return true;
}

}  // namespace

Address LinkLocal(const MacAddress& mac) {
  uint64_t number = ToNumber(mac);
  uint64_t low = (number >> 24) << 40 | uint64_t{0xfffe} << 24 | (number & 0xffffff);
  return {uint64_t{0xfe80} << 48, low ^ uint64_t{2} << 56};
}

bool ParseMac(std::string_view text, MacAddress& out) {
  if (text.size() != 17) return false;
  for (size_t i = 0; i < 6; ++i) {
    int high = HexDigit(text[3 * i]), low = HexDigit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool ParseAddress(std::string_view text, Address& out) {
  if (text.find(':') != std::string_view::npos) return ParseV6(text, out);
  uint32_t v4;
  if (!ParseV4(text, v4)) return false;
  out = Address::V4(v4);
  return true;
}

std::string_view NextWord(std::string_view& text) {
  size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(begin);
  std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

bool ParseNumber(std::string_view text, uint64_t max, uint64_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size() && out <= max;
}

bool AddressList::Contains(const Address& address) const {
  for (uint32_t i = 0; i < count; ++i) {
    if (items[i] == address) return true;
  }
  return false;
}

bool AddressList::Add(const Address& address) {
  if (Contains(address)) return true;
  if (count == kMaxAddresses) return false;
  items[count++] = address;
  return true;
}

bool ParseAddressList(std::string_view text, AddressList& out) {
  out = {};
  for (std::string_view word = NextWord(text); !word.empty(); word = NextWord(text)) {
    size_t slash = word.find('/');
    Address address;
    uint64_t prefix;
    if (slash == std::string_view::npos || !ParseAddress(word.substr(0, slash), address) ||
        !ParseNumber(word.substr(slash + 1), address.v4() ? 32 : 128, prefix) || address.unspecified() ||
        address.multicast() || !out.Add(address)) {
      out = {};
      return false;
    }
  }
  return true;
}

}  // namespace librettos::netserver
