// The HTML page that lists a directory.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "guest/platform/platform.h"

namespace librettos::apps {

inline constexpr size_t kMaxListedEntries = 4096;     // More are not listed, and the page says so.
inline constexpr size_t kMaxListedBytes = 256 << 10;  // Of names.

struct Page {
  std::unique_ptr<char[]> text;  // Null with kExhausted.
  size_t size = 0;
};

// `path` as in Files. Names are sorted, directories end in a slash, and everything is escaped.
Result<Page> ListDirectory(Files& files, std::string_view path);

}  // namespace librettos::apps
