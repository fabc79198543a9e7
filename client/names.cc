#include "client/names.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace librettos {

std::string FullName(absl::string_view collection, absl::string_view name) {
  if (name.empty()) return "";
  // A channel lies in its guest: "web/channels/3".
  if (collection == "channels")
    return absl::StartsWith(name, "guests/") ? std::string(name) : absl::StrCat("guests/", name);
  if (name.find('/') != name.npos) return std::string(name);
  return absl::StrCat(collection, "/", name);
}

absl::string_view IdOf(absl::string_view name) {
  const size_t slash = name.find('/');
  return slash == name.npos ? name : name.substr(slash + 1);
}

absl::string_view CollectionOf(absl::string_view name) {
  const size_t slash = name.find('/');
  return slash == name.npos ? absl::string_view() : name.substr(0, slash);
}

}  // namespace librettos
