#include "guest/apps/http_request.h"

#include <algorithm>

namespace librettos::apps {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// tchar of RFC 9110, section 5.6.2.
bool IsTokenCharacter(char c) {
  if ((c >= '0' && c <= '9') || (Lower(c) >= 'a' && Lower(c) <= 'z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenCharacter);
}

// Field values: visible characters, blanks, tabs and bytes above 127.
bool IsFieldValue(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether the comma-separated `list` has `token`.
bool ListHas(std::string_view list, std::string_view token) {
  while (true) {
    const size_t comma = list.find(',');
    if (EqualsIgnoringCase(Trim(list.substr(0, comma)), token)) return true;
    if (comma == list.npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// What the fields of one head have said so far.
struct Fields {
  int hosts = 0;
  bool close = false, keep_alive = false, if_range = false, body = false, coding = false;
  std::string_view length;
};

int MethodStatus(std::string_view name, Method* method) {
  if (name == "GET" || name == "HEAD") {
    *method = name == "GET" ? Method::kGet : Method::kHead;
    return 0;
  }
  for (std::string_view known : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"}) {
    if (name == known) return 405;
  }
  return 501;
}

// The status that refuses the line, or 0. `minor` is the y of HTTP/1.y.
int ParseRequestLine(std::string_view line, HttpRequest* request, int* minor) {
  const size_t first = line.find(' ');
  if (first == line.npos) return 400;
  const std::string_view method = line.substr(0, first);
  if (!IsToken(method)) return 400;
  const std::string_view rest = line.substr(first + 1);
  const size_t second = rest.find(' ');
  if (second == rest.npos || second == 0) return 400;
  request->target = rest.substr(0, second);
  const std::string_view version = rest.substr(second + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.') return 400;
  if (version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9') return 400;
  if (version[5] != '1') return 505;
  *minor = version[7] - '0';
  for (char c : request->target) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return 400;
  }
  if (request->target.size() > kMaxTargetBytes) return 414;
  return MethodStatus(method, &request->method);
}

// False: the line is malformed.
bool ParseField(std::string_view line, HttpRequest* request, Fields* fields) {
  const size_t colon = line.find(':');
  if (colon == line.npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Trim(line.substr(colon + 1));
  // A leading blank (a folded line) and a blank before the colon both fail as tokens.
  if (!IsToken(name) || !IsFieldValue(value)) return false;
  if (EqualsIgnoringCase(name, "host")) {
    ++fields->hosts;
  } else if (EqualsIgnoringCase(name, "connection")) {
    fields->close |= ListHas(value, "close");
    fields->keep_alive |= ListHas(value, "keep-alive");
  } else if (EqualsIgnoringCase(name, "content-length")) {
    const bool digits = !value.empty() &&
                        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || (!fields->length.empty() && fields->length != value)) return false;
    fields->length = value;
    fields->body |= value.find_first_not_of('0') != value.npos;
  } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
    fields->coding = true;
  } else if (EqualsIgnoringCase(name, "range")) {
    request->range = value;
  } else if (EqualsIgnoringCase(name, "if-range")) {
    fields->if_range = true;
  }
  return true;
}

size_t Refuse(HttpRequest* request, int status, size_t taken) {
  request->status = status;
  request->keep_alive = false;
  return taken;
}

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return Lower(x) == Lower(y); });
}

size_t ParseHttpRequest(std::string_view text, HttpRequest* request) {
  *request = HttpRequest();
  const bool full = text.size() >= kMaxRequestBytes;
  text = text.substr(0, kMaxRequestBytes);
  size_t at = 0;
  // RFC 9112, section 2.2: empty lines before a request are ignored.
  while (at < text.size() &&
         (text[at] == '\n' || (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n'))) {
    at += text[at] == '\r' ? 2 : 1;
  }
  Fields fields;
  int minor = 0, line_status = 0, count = 0;
  for (bool first = true;; first = false) {
    const size_t end = text.find('\n', at);
    if (end == text.npos) {
      if (full) return Refuse(request, first ? 414 : 431, text.size());
      return 0;
    }
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (line.find('\r') != line.npos) return Refuse(request, 400, at);
    if (first) {
      line_status = ParseRequestLine(line, request, &minor);
      if (line_status != 0 && line_status != 405) return Refuse(request, line_status, at);
      continue;
    }
    if (line.empty()) break;
    if (++count > kMaxHeaderFields) return Refuse(request, 431, at);
    if (!ParseField(line, request, &fields)) return Refuse(request, 400, at);
  }
  if (fields.hosts > 1 || (minor >= 1 && fields.hosts == 0)) return Refuse(request, 400, at);
  if (fields.coding && !fields.length.empty()) return Refuse(request, 400, at);
  if (fields.coding) return Refuse(request, line_status != 0 ? line_status : 501, at);
  if (fields.if_range) request->range = {};                   // No validators are sent, so none can match.
  if (request->method == Method::kHead) request->range = {};  // RFC 9110, section 14.2: defined for GET only.
  request->status = line_status;
  // A body is never read: the connection ends after the answer, so that its bytes are not taken for a
  // request.
  request->keep_alive = !fields.close && !fields.body && (minor >= 1 || fields.keep_alive);
  return at;
}

}  // namespace librettos::apps
