// Paths of the registry, and their texts in xenstore's messages.
#pragma once

#include <algorithm>
#include <string_view>

namespace librettos::xen {

inline bool ValidPathCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_/@.:").find(c) != std::string_view::npos;
}

inline bool ValidPath(std::string_view path, size_t max_bytes = 255) {
  return path.size() >= 2 && path.size() <= max_bytes && path.front() == '/' && path.back() != '/' &&
         std::all_of(path.begin(), path.end(), ValidPathCharacter);
}

// True for `prefix` itself, too.
inline bool Below(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// Takes the text up to the next NUL from `payload`; false: there is no NUL.
inline bool TakeText(std::string_view& payload, std::string_view* text) {
  const size_t end = payload.find('\0');
  if (end == std::string_view::npos) return false;
  *text = payload.substr(0, end);
  payload.remove_prefix(end + 1);
  return true;
}

}  // namespace librettos::xen
