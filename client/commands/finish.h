// The ends of commands that wait.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/commands/context.h"
#include "client/commands/units.h"
#include "client/commands/view.h"

namespace librettos::ctl {

// Waits for `operation` to end, if `wait`, and prints it: `sentence` with how long frames were held back, if
// it succeeded. If it failed: UNKNOWN with why, and `next_step`.
absl::Status FinishOperation(Context& context, Client& client, v1::Operation operation, bool wait,
                             absl::Duration default_timeout, const std::string& sentence,
                             const std::string& next_step);

// Why `name` did not become `wanted` in time, from its present state.
template <typename Resource>
absl::Status ExplainTimeout(const std::string& name, const std::string& wanted, absl::Duration timeout,
                            const absl::StatusOr<Resource>& now) {
  std::string text = absl::StrCat("it was stored, but is not ", wanted, " after ", Time(timeout));
  if (now.ok()) {
    absl::StrAppend(&text, ": it is ", EnumText(now->status().state()));
    if (!now->status().message().empty()) absl::StrAppend(&text, ", ", now->status().message());
  } else {
    absl::StrAppend(&text, ", and cannot be asked why: ", std::string(now.status().message()));
  }
  v1::ErrorInfo info;
  info.set_resource(name);
  info.set_next_step("the daemon goes on trying: look again with describe, or delete it");
  return WithErrorInfo(absl::DeadlineExceededError(text), info);
}

}  // namespace librettos::ctl
