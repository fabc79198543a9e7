#include "hypervisor/process/path.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

constexpr size_t kMaxNicNameBytes = 63;  // guest/platform/platform.h: Device::name, with its final zero.

bool ValidCharacters(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        absl::string_view("-_/@.:").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool ValidPath(absl::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPathBytes || path[0] != '/' || !ValidCharacters(path))
    return false;
  for (const absl::string_view component : Components(path)) {
    if (component.empty() || component == "." || component == "..") return false;
  }
  return true;
}

bool ValidNicName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNicNameBytes && name[0] != '/' && ValidCharacters(name);
}

bool Covers(absl::string_view prefix, absl::string_view path) {
  return absl::StartsWith(path, prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

std::vector<absl::string_view> Components(absl::string_view path) {
  return absl::StrSplit(path.substr(1), '/');
}

}  // namespace librettos::process
