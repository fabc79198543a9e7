// Resource names: "servers/{id}", "guests/{id}", "nics/{id}", "operations/{id}".
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace librettos::daemon {

// [a-z]([-a-z0-9]{0,61}[a-z0-9])?, as the API's contract says.
bool ValidId(absl::string_view id);

// The id in `name` if it is `collection`/{id}; else MALFORMED_NAME, or MISSING_FIELD if it is empty.
absl::StatusOr<std::string> ParseName(absl::string_view collection, absl::string_view name,
                                      absl::string_view field = "name");

// Part after the slash of a name known to be good.
std::string IdOf(absl::string_view name);

}  // namespace librettos::daemon
