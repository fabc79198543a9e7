#include "guest/apps/http_response.h"

#include <algorithm>
#include <charconv>

#include "guest/apps/http_request.h"

namespace librettos::apps {
namespace {

bool Number(std::string_view text, uint64_t* value) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (result.ptr != text.data() + text.size()) return false;
  if (result.ec == std::errc::result_out_of_range) *value = UINT64_MAX;  // Beyond any file: clamped like one.
  return true;
}

}  // namespace

ByteRange ParseRange(std::string_view field, uint64_t size) {
  const ByteRange whole{RangeKind::kWhole, 0, size};
  constexpr std::string_view kUnit = "bytes=";
  if (field.size() < kUnit.size() || !EqualsIgnoringCase(field.substr(0, kUnit.size()), kUnit)) return whole;
  field.remove_prefix(kUnit.size());
  const size_t dash = field.find('-');
  if (dash == field.npos || field.find(',') != field.npos) return whole;
  const std::string_view from = field.substr(0, dash), to = field.substr(dash + 1);
  uint64_t first = 0, last = UINT64_MAX;
  if (from.empty()) {  // The last so many bytes.
    uint64_t suffix = 0;
    if (!Number(to, &suffix)) return whole;
    if (suffix == 0 || size == 0) return {RangeKind::kUnsatisfiable, 0, 0};
    const uint64_t length = std::min(suffix, size);
    return {RangeKind::kPart, size - length, length};
  }
  if (!Number(from, &first)) return whole;
  if (!to.empty() && !Number(to, &last)) return whole;
  if (last < first) return whole;
  if (first >= size) return {RangeKind::kUnsatisfiable, 0, 0};
  last = std::min(last, size - 1);
  return {RangeKind::kPart, first, last - first + 1};
}

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
  }
  return "Unknown";
}

void AddHead(Text& out, const Head& head) {
  out.Add("HTTP/1.1 ")
      .AddNumber(static_cast<uint64_t>(head.status))
      .Add(' ')
      .Add(Reason(head.status))
      .Add("\r\n");
  out.Add("Server: librettos\r\nContent-Length: ").AddNumber(head.length).Add("\r\n");
  if (!head.type.empty()) out.Add("Content-Type: ").Add(head.type).Add("\r\n");
  if (head.ranges) out.Add("Accept-Ranges: bytes\r\n");
  if (head.range != nullptr) {
    out.Add("Content-Range: bytes ");
    if (head.range->kind == RangeKind::kPart) {
      out.AddNumber(head.range->first).Add('-').AddNumber(head.range->first + head.range->length - 1);
    } else {
      out.Add('*');
    }
    out.Add('/').AddNumber(head.size).Add("\r\n");
  }
  if (head.status == 405) out.Add("Allow: GET, HEAD\r\n");
  if (!head.location.empty()) out.Add("Location: ").Add(head.location).Add("\r\n");
  out.Add(head.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
}

void AddSimpleAnswer(Text& out, int status, bool keep_alive, bool head_only) {
  TextOf<64> body;
  body.AddNumber(static_cast<uint64_t>(status)).Add(' ').Add(Reason(status)).Add('\n');
  AddHead(out, {.status = status,
                .type = "text/plain; charset=utf-8",
                .length = body.view().size(),
                .keep_alive = keep_alive});
  if (!head_only) out.Add(body.view());
}

}  // namespace librettos::apps
