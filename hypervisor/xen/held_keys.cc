#include "hypervisor/xen/held_keys.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {

bool Covers(absl::string_view root, absl::string_view path) {
  return absl::StartsWith(path, root) && (path.size() == root.size() || path[root.size()] == '/');
}

void HeldKeys::Write(absl::string_view path, absl::string_view value) {
  values_[std::string(path)] = std::string(value);
}

void HeldKeys::AllowRead(absl::string_view path, hypervisor::DomainId reader) {
  readers_.emplace(std::string(path), reader);
}

void HeldKeys::Remove(absl::string_view path) {
  std::erase_if(values_, [&](const auto& value) { return Covers(path, value.first); });
  std::erase_if(readers_, [&](const auto& reader) { return Covers(path, reader.first); });
}

absl::StatusOr<std::string> HeldKeys::Read(absl::string_view path) const {
  auto found = values_.find(std::string(path));
  if (found == values_.end() || found->second.empty()) return absl::NotFoundError("no such key");
  return found->second;
}

std::vector<std::string> HeldKeys::List(absl::string_view path) const {
  std::set<std::string> names;
  for (const auto& [key, value] : values_) {
    if (key.size() <= path.size() || !Covers(path, key)) continue;
    const absl::string_view rest = absl::string_view(key).substr(path.size() + 1);
    names.insert(std::string(rest.substr(0, rest.find('/'))));
  }
  return {names.begin(), names.end()};
}

absl::Status HeldKeys::Apply(KeyWriter& writer) {
  absl::Status status;
  for (const auto& [path, reader] : readers_) status.Update(writer.AllowRead(path, reader));
  for (const auto& [path, value] : values_) status.Update(writer.Write(path, value));
  readers_.clear();
  values_.clear();
  return status;
}

}  // namespace librettos::xen
