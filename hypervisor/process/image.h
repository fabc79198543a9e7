// The binary of a domain: opened and looked at before anything is started.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "hypervisor/process/descriptor.h"

namespace librettos::process {

// Opens `path` for execution. It must be a static 64-bit ELF executable that everybody may execute (a domain
// runs as an unprivileged user and sees no files but its own). Errors say what is wrong with it and what to
// do.
absl::StatusOr<Descriptor> OpenImage(const std::string& path);

}  // namespace librettos::process
