// From a request target to a path of Files: percent-decoded, normalised, never above the root.
#pragma once

#include <cstddef>
#include <string_view>

#include "guest/apps/text.h"

namespace librettos::apps {

// The result of the mapping. `status` is 0, or what to answer.
struct HttpPath {
  int status = 0;
  bool trailing_slash = false;  // The target named a directory.
};

// Writes the path that `target` ("/a/b?query", or "http://host/a/b") names to `out`, relative to the root;
// the root itself is ".". 400: not a path or a broken escape; 403: would leave the root, or has a NUL; 414:
// does not fit.
HttpPath MapTarget(std::string_view target, Text& out);

// Adds `text` so that it is safe in HTML text and quoted attributes.
void AddHtml(Text& out, std::string_view text);
// Adds `text` percent-encoded, as one segment of a URL's path.
void AddUrlSegment(Text& out, std::string_view text);

// The Content-Type of a file by the extension of its name.
std::string_view ContentType(std::string_view path);

}  // namespace librettos::apps
