#include "daemon/names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"

namespace librettos::daemon {

bool ValidId(absl::string_view id) {
  if (id.empty() || id.size() > 63 || !absl::ascii_islower(id.front()) || id.back() == '-') return false;
  for (char c : id) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') return false;
  }
  return true;
}

absl::StatusOr<std::string> ParseName(absl::string_view collection, absl::string_view name,
                                      absl::string_view field) {
  if (name.empty()) return MissingField(field, absl::StrCat("Give a name such as \"", collection, "/a1\""));
  absl::string_view id = name;
  if (absl::ConsumePrefix(&id, collection) && absl::ConsumePrefix(&id, "/") && ValidId(id))
    return std::string(id);
  return MakeError(v1::ErrorInfo::MALFORMED_NAME,
                   {.resource = {},
                    .field = std::string(field),
                    .value = std::string(name),
                    .what = absl::StrCat(field, ": \"", name.substr(0, 200), "\" is not a name of the form ",
                                         collection, "/{id}"),
                    .next = "Use an id of up to 63 lower-case letters, digits and hyphens that starts with a "
                            "letter and does not "
                            "end with a hyphen"});
}

std::string IdOf(absl::string_view name) {
  auto slash = name.find('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

}  // namespace librettos::daemon
