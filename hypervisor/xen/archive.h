// A domain's files as one ustar archive, which it reads as a disk (docs/xen.md, Domains: files).
#pragma once

#include <string>

#include "absl/status/status.h"

namespace librettos::xen {

// Writes all directories and regular files below `directory` to `path`, which is replaced. Names are relative
// to it; symbolic links to regular files within it are followed, others and special files are left out.
// Blocks: for a worker thread. InvalidArgument: something cannot be archived, such as a name of more than 255
// bytes.
absl::Status WriteArchive(const std::string& directory, const std::string& path);

}  // namespace librettos::xen
