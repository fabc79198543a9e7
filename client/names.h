// Resource names: "{collection}/{id}", e.g. "guests/web".
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace librettos {

// The full name for what a person typed: "web" and "guests/web" are both "guests/web" in collection "guests".
// "web/channels/3" is "guests/web/channels/3" in "channels". Anything else that holds a '/' is returned as it
// is, for the daemon to refuse.
std::string FullName(absl::string_view collection, absl::string_view name);

// What follows the collection: "web" of "guests/web"; the whole name if there is no collection in it.
absl::string_view IdOf(absl::string_view name);

// "guests" of "guests/web"; empty if there is none.
absl::string_view CollectionOf(absl::string_view name);

}  // namespace librettos
