// Pages of a list in the order of names. A page token is the last name of the page before: it stays good
// whatever is created or deleted meanwhile.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"

namespace librettos::daemon {

inline constexpr int32_t kMaxPage = 1000;

struct Page {
  std::vector<std::string> names;
  std::string next_token;
};

// `names`, of `collection` ("guests/"), sorted by `less`.
template <class Less = std::less<std::string>>
absl::StatusOr<Page> TakePage(absl::string_view collection, const std::vector<std::string>& names,
                              int32_t size, const std::string& token, Less less = {}) {
  if (size < 0)
    return InvalidField("page_size", absl::StrCat(size), "is negative",
                        "Leave it out for the default of 1000");
  if (!token.empty() && (token.size() > 256 || !absl::StartsWith(token, collection)))
    return InvalidField("page_token", token, "is not one of ours", "Use the token of the last answer");
  size_t limit = size == 0 ? kMaxPage : std::min(size, kMaxPage);
  auto it = token.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), token, less);
  Page page;
  while (it != names.end() && page.names.size() < limit) page.names.push_back(*it++);
  if (it != names.end()) page.next_token = page.names.back();
  return page;
}

}  // namespace librettos::daemon
