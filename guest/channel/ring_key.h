// The value of the registry key `ring`: "<grant-ref> <version> <queue pairs> <entries> <slot bytes>".
#pragma once

#include "guest/channel/layout.h"
#include "guest/channel/text.h"
#include "guest/platform/platform.h"

namespace librettos::channel {

struct RingKey {
  GrantRef ref = 0;
  uint32_t version = 0;
  Geometry geometry;

  bool operator==(const RingKey&) const = default;

  Text Format() const {
    Text text;
    text.Add(ref).Add(" ").Add(version).Add(" ").Add(geometry.queue_pairs).Add(" ").Add(geometry.entries);
    return text.Add(" ").Add(geometry.slot_bytes);
  }

  // Five numbers that describe a channel of this version; else nothing.
  static std::optional<RingKey> Parse(std::string_view text) {
    uint32_t numbers[5];
    for (size_t i = 0; i < 5; ++i) {
      const size_t end = i < 4 ? text.find(' ') : text.size();
      if (end == std::string_view::npos) return std::nullopt;
      const auto number = ParseNumber(text.substr(0, end));
      if (!number) return std::nullopt;
      numbers[i] = *number;
      text.remove_prefix(i < 4 ? end + 1 : end);
    }
    const RingKey key = {numbers[0], numbers[1], {numbers[2], numbers[3], numbers[4]}};
    if (key.ref == 0 || key.version != kVersion || !key.geometry.valid()) return std::nullopt;
    return key;
  }
};

}  // namespace librettos::channel
