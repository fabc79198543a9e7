#include "daemon/mode_report.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace librettos::daemon {

std::optional<ModeReport> ParseModeReport(absl::string_view value) {
  std::vector<std::string> words = absl::StrSplit(value, absl::MaxSplits(' ', 4));
  ModeReport report;
  if (words.size() < 4 || !absl::SimpleAtoi(words[1], &report.change) ||
      !absl::SimpleAtoi(words[2], &report.pause_us) || !absl::SimpleAtoi(words[3], &report.lost)) {
    return std::nullopt;
  }
  if (report.pause_us > 3'600'000'000) return std::nullopt;  // An hour: not a pause, a lie.
  if (words.size() > 4) report.reason = words[4].substr(0, 200);
  if (words[0] == "server") {
    report.mode = v1::SERVER;
  } else if (words[0] == "direct") {
    report.mode = v1::DIRECT;
  } else if (words[0] == "preparing-direct") {
    report.mode = v1::SERVER;
    report.transition = v1::GuestStatus::PREPARING_DIRECT;
  } else if (words[0] == "preparing-server") {
    report.mode = v1::DIRECT;
    report.transition = v1::GuestStatus::PREPARING_SERVER;
  } else {
    return std::nullopt;
  }
  return report;
}

}  // namespace librettos::daemon
