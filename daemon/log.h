// The daemon's log: one line per event on standard error, "LEVEL text key=value …". Any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace librettos::daemon {

enum class Level { kInfo, kWarning, kError, kAudit };

using LogFields = std::vector<std::pair<absl::string_view, std::string>>;

// Values with anything but plain characters are quoted and escaped, so that what came over the wire cannot
// forge a line.
void Log(Level level, absl::string_view text, const LogFields& fields = {});
std::string FormatLine(Level level, absl::string_view text, const LogFields& fields);

}  // namespace librettos::daemon
