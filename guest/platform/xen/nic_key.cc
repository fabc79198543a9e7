#include "guest/platform/xen/nic_key.h"

#include <charconv>

namespace librettos::xen {
namespace {

// Takes a number up to `end`, or up to the end of the text if `end` is 0.
template <class Number>
bool Take(std::string_view& text, char end, int base, Number limit, Number* number) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  if (error != std::errc() || *number > limit) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  if (end == 0) return text.empty();
  if (!text.starts_with(end)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Result<NicKey> ParseNicKey(std::string_view value) {
  NicKey key;
  if (!Take(value, ' ', 10, 31u, &key.slot)) return Error::kInvalidArgument;
  for (int i = 0; i < 6; ++i) {
    if (!Take(value, i < 5 ? ':' : ' ', 16, uint8_t{255}, &key.address[i])) return Error::kInvalidArgument;
  }
  if (!Take(value, '\0', 10, 65535u, &key.mtu) || key.mtu < 68) return Error::kInvalidArgument;
  return key;
}

}  // namespace librettos::xen
