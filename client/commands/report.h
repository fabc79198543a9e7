// How librettosctl tells of a failure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace librettos::ctl {

// "librettosctl: what: why\n  next: what to do\n". `what` is what was attempted; `socket` is named where it
// helps.
std::string RenderError(absl::string_view what, const absl::Status& status, absl::string_view socket);

}  // namespace librettos::ctl
