// Exit codes of librettosctl. Part of its interface: they never change meaning.
#pragma once

#include "absl/status/status.h"

namespace librettos::ctl {

enum ExitCode {
  kOk = 0,
  kFailed = 1,       // Anything else; also: an operation that failed, a domain that ended.
  kUsage = 2,        // The command line, or a value in it, cannot work.
  kNotFound = 3,     // No such resource.
  kConflict = 4,     // Exists already, is in use, has another etag, or is in the wrong state.
  kUnavailable = 5,  // The daemon is not reachable, or cannot do it now.
  kTimeout = 6,      // Not done within the time given.
  kPermission = 7,   // This user may not.
};

ExitCode ExitCodeFor(absl::StatusCode code);

}  // namespace librettos::ctl
