// The head of an HTTP/1.x request (RFC 9112), as far as a read-only file server needs it.
//
// Input is hostile: everything is bounded, and whatever two parsers could read differently (bare CR, folded
// lines, repeated or odd Content-Length, white space before a colon) is refused rather than guessed at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace librettos::apps {

inline constexpr size_t kMaxRequestBytes = 8192;  // Of a request's head; beyond: 414 or 431.
inline constexpr size_t kMaxTargetBytes = 4096;   // Of the request target; beyond: 414.
inline constexpr int kMaxHeaderFields = 100;      // Beyond: 431.

enum class Method : uint8_t { kGet, kHead };

// All views point into the parsed text.
struct HttpRequest {
  Method method = Method::kGet;
  std::string_view target;  // As sent, with the query.
  std::string_view range;   // Of the Range field; empty: none, or not to be honoured (If-Range).
  bool keep_alive = true;
  int status = 0;  // Not 0: answer with this status. Always set with close for 400, 414, 431, 501, 505.
};

// Looks for a whole request head at the start of `text`. Returns the number of bytes it takes, with `request`
// filled in; 0 if more bytes are needed. Never 0 for kMaxRequestBytes bytes or more.
size_t ParseHttpRequest(std::string_view text, HttpRequest* request);

// Case-insensitive for ASCII.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

}  // namespace librettos::apps
