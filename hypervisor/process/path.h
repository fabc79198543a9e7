// Registry paths: absolute, of at most 255 characters of [A-Za-z0-9-_/@.:], without empty, "." or ".."
// components.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace librettos::process {

bool ValidPath(absl::string_view path);

// The name of a NIC: 1 to 63 of the same characters, not starting with '/'.
bool ValidNicName(absl::string_view name);

// Whether `path` is `prefix` or lies below it, at whole components.
bool Covers(absl::string_view prefix, absl::string_view path);

// "/a/b" -> {"a", "b"}. The views are into `path`.
std::vector<absl::string_view> Components(absl::string_view path);

}  // namespace librettos::process
