// Status lines, header fields, small bodies and byte ranges of the HTTP server's answers.
#pragma once

#include <cstdint>
#include <string_view>

#include "guest/apps/text.h"

namespace librettos::apps {

// What a Range field asks of a representation of `size` bytes.
enum class RangeKind : uint8_t {
  kWhole,  // No range, several, another unit or not a range: the field is ignored (RFC 9110, section 14.2).
  kPart,   // `first` to `first + length - 1`.
  kUnsatisfiable,  // 416.
};
struct ByteRange {
  RangeKind kind = RangeKind::kWhole;
  uint64_t first = 0;
  uint64_t length = 0;  // For kWhole: the size.
};
ByteRange ParseRange(std::string_view field, uint64_t size);

std::string_view Reason(int status);

// The head of an answer with a body of `length` bytes.
struct Head {
  int status = 200;
  std::string_view type = {};
  uint64_t length = 0;
  bool keep_alive = true;
  bool ranges = false;               // Says that byte ranges are understood here.
  const ByteRange* range = nullptr;  // For 206 and 416: adds Content-Range...
  uint64_t size = 0;                 // ...of this many bytes.
  std::string_view location = {};    // For 301: already safe for a header.
};
void AddHead(Text& out, const Head& head);

// A whole small answer with a text that says `status`; without its body for HEAD.
void AddSimpleAnswer(Text& out, int status, bool keep_alive, bool head_only);

}  // namespace librettos::apps
