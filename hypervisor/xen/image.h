// The image of a domain, looked at before anything is built.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace librettos::xen {

// OK if `path` is a 64-bit ELF file with the note XEN_ELFNOTE_PHYS32_ENTRY, by which Xen's builder finds
// where to enter it (docs/xen.md, Domains). Errors say what is wrong with it.
absl::Status CheckImage(const std::string& path);

}  // namespace librettos::xen
