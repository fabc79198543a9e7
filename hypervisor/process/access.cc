#include "hypervisor/process/access.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/process/path.h"

namespace librettos::process {
namespace {

using Parts = std::vector<absl::string_view>;

// Only the canonical form names a domain: "07" is nobody's.
std::optional<DomainId> ParseId(absl::string_view text) {
  DomainId id;
  if (!absl::SimpleAtoi(text, &id) || absl::StrCat(id) != text) return std::nullopt;
  return id;
}

// Whether `parts` from index 3 on (after local/domain/<id>) begin with `pattern`; "*" stands for any
// component.
template <size_t kCount>
bool Begins(const Parts& parts, const std::array<absl::string_view, kCount>& pattern) {
  if (parts.size() < 3 + kCount) return false;
  for (size_t i = 0; i < kCount; ++i) {
    if (pattern[i] != "*" && pattern[i] != parts[3 + i]) return false;
  }
  return true;
}

template <class... Items>
constexpr auto Pattern(Items... items) {
  return std::array<absl::string_view, sizeof...(items)>{items...};
}

// /local/domain/<s>/backend/vif/<reader>...
bool IsBackendOf(const Parts& parts, DomainId reader) {
  return Begins(parts, Pattern("backend", "vif", "*")) && ParseId(parts[5]) == reader;
}

}  // namespace

std::optional<DomainId> OwnerOf(absl::string_view path) {
  const Parts parts = Components(path);
  if (parts.size() < 3 || parts[0] != "local" || parts[1] != "domain") return std::nullopt;
  return ParseId(parts[2]);
}

bool ReservedByRule(absl::string_view path) {
  const Parts parts = Components(path);
  if (parts.size() <= 3) return true;  // The domain's own node and what is above it.
  if (Begins(parts, Pattern("name")) || Begins(parts, Pattern("control"))) return true;
  if (Begins(parts, Pattern("backend", "vif", "*", "0", "guest"))) return true;
  if (Begins(parts, Pattern("device", "vif", "0", "*"))) return parts[6] != "frontend";
  return false;
}

bool ReadableByRule(absl::string_view path, DomainId reader) {
  if (!OwnerOf(path).has_value()) return false;
  const Parts parts = Components(path);
  if (Begins(parts, Pattern("device", "vif", "0", "frontend", "*"))) return ParseId(parts[7]) == reader;
  if (IsBackendOf(parts, reader) && parts.size() == 8 && parts[6] == "0") {
    return parts[7] == "state" || parts[7] == "error";
  }
  return false;
}

bool WatchableByRule(absl::string_view path, DomainId reader) {
  if (ReadableByRule(path, reader)) return true;
  if (!OwnerOf(path).has_value()) return false;
  const Parts parts = Components(path);
  return IsBackendOf(parts, reader) && (parts.size() == 6 || (parts.size() == 7 && parts[6] == "0"));
}

}  // namespace librettos::process
