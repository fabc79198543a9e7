#include "guest/apps/http_path.h"

#include "guest/apps/http_request.h"

namespace librettos::apps {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes `segment` into `out` of at least its size. -1: a broken escape; else the length.
int Decode(std::string_view segment, char* out) {
  int length = 0;
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      out[length++] = segment[i];
      continue;
    }
    if (i + 2 >= segment.size()) return -1;
    const int high = HexValue(segment[i + 1]), low = HexValue(segment[i + 2]);
    if (high < 0 || low < 0) return -1;
    out[length++] = static_cast<char>(high * 16 + low);
    i += 2;
  }
  return length;
}

struct Extension {
  std::string_view name, type;
};

constexpr Extension kExtensions[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"xml", "application/xml"},
    {"pdf", "application/pdf"},
    {"wasm", "application/wasm"},
    {"gz", "application/gzip"},
    {"tar", "application/x-tar"},
    {"zip", "application/zip"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"svg", "image/svg+xml"},
    {"webp", "image/webp"},
    {"ico", "image/x-icon"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"woff2", "font/woff2"},
};

}  // namespace

HttpPath MapTarget(std::string_view target, Text& out) {
  HttpPath path;
  // The absolute form (RFC 9112, section 3.2.2) is to be understood by every server.
  if (target.size() >= 7 && EqualsIgnoringCase(target.substr(0, 7), "http://")) {
    const size_t slash = target.find('/', 7);
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (!target.starts_with('/')) {
    path.status = 400;
    return path;
  }
  // Segments are split before they are decoded, so that %2F cannot make new ones, and removed as ".." is met.
  size_t starts[128];
  size_t depth = 0, used = 0;
  char built[kMaxTargetBytes];
  if (target.size() > sizeof built) {
    path.status = 414;
    return path;
  }
  bool more = true;
  while (more) {
    target.remove_prefix(1);
    const size_t slash = target.find('/');
    const std::string_view encoded = target.substr(0, slash);
    more = slash != target.npos;
    if (more) target.remove_prefix(slash);
    const size_t start = used == 0 ? 0 : used + 1;
    // Decoding never grows, and `start` is never above what was read so far: it fits.
    const int length = Decode(encoded, built + start);
    if (length < 0) {
      path.status = 400;
      return path;
    }
    const std::string_view segment(built + start, static_cast<size_t>(length));
    path.trailing_slash = !more && (segment.empty() || segment == "." || segment == "..");
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (depth == 0) {
        path.status = 403;
        return path;
      }
      const size_t last = starts[--depth];
      used = last == 0 ? 0 : last - 1;
      continue;
    }
    if (segment.find('/') != segment.npos || segment.find('\0') != segment.npos) {
      path.status = 403;
      return path;
    }
    if (depth == sizeof starts / sizeof starts[0]) {
      path.status = 414;
      return path;
    }
    if (used != 0) built[used] = '/';
    starts[depth++] = start;
    used = start + segment.size();
  }
  out.Add(used == 0 ? std::string_view(".") : std::string_view(built, used));
  if (out.overflowed()) path.status = 414;
  return path;
}

void AddHtml(Text& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '&':
        out.Add("&amp;");
        break;
      case '<':
        out.Add("&lt;");
        break;
      case '>':
        out.Add("&gt;");
        break;
      case '"':
        out.Add("&quot;");
        break;
      case '\'':
        out.Add("&#39;");
        break;
      default:
        out.Add(c);
    }
  }
}

void AddUrlSegment(Text& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.Add(c);
    } else {
      out.Add('%').Add(kHex[byte >> 4]).Add(kHex[byte & 15]);
    }
  }
}

std::string_view ContentType(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  const size_t dot = name.rfind('.');
  if (dot != name.npos) {
    for (const Extension& extension : kExtensions) {
      if (EqualsIgnoringCase(name.substr(dot + 1), extension.name)) return extension.type;
    }
  }
  return "application/octet-stream";
}

}  // namespace librettos::apps
