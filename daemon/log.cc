#include "daemon/log.h"

#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace librettos::daemon {
namespace {

bool Plain(absl::string_view value) {
  if (value.empty()) return false;
  for (char c : value) {
    if (!absl::ascii_isalnum(c) && absl::string_view("-_/.:@#+,").find(c) == absl::string_view::npos)
      return false;
  }
  return true;
}

}  // namespace

std::string FormatLine(Level level, absl::string_view text, const LogFields& fields) {
  static constexpr absl::string_view kNames[] = {"info", "warning", "error", "audit"};
  std::string line = absl::StrCat(kNames[static_cast<int>(level)], " ", absl::CEscape(text));
  for (const auto& [key, value] : fields) {
    absl::string_view shown = absl::string_view(value).substr(0, 500);
    if (Plain(shown)) {
      absl::StrAppend(&line, " ", key, "=", shown);
    } else {
      absl::StrAppend(&line, " ", key, "=\"", absl::CEscape(shown), "\"");
    }
  }
  line += '\n';
  return line;
}

void Log(Level level, absl::string_view text, const LogFields& fields) {
  std::string line = FormatLine(level, text, fields);
  // One write, so that lines of several threads do not mix. A full pipe must not stop the daemon's work.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace librettos::daemon
