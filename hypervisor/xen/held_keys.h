// Registry keys of a domain that is being built: libxl removes and makes its directory anew, so what is
// written meanwhile is held here and written once that is done. Loop thread only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypervisor/hypervisor.h"

namespace librettos::xen {

// Whoever takes the keys in the end: xenstore.
class KeyWriter {
 public:
  virtual absl::Status Write(absl::string_view path, absl::string_view value) = 0;
  virtual absl::Status AllowRead(absl::string_view path, hypervisor::DomainId reader) = 0;

 protected:
  ~KeyWriter() = default;
};

class HeldKeys {
 public:
  void Write(absl::string_view path, absl::string_view value);
  void AllowRead(absl::string_view path, hypervisor::DomainId reader);
  void Remove(absl::string_view path);  // With everything below.
  // NotFound also for an empty value.
  absl::StatusOr<std::string> Read(absl::string_view path) const;
  std::vector<std::string> List(absl::string_view path) const;
  // Permissions first: a key that stands is one that can be read. Then nothing is held any more. The first
  // error.
  absl::Status Apply(KeyWriter& writer);

 private:
  std::map<std::string, std::string> values_;
  std::set<std::pair<std::string, hypervisor::DomainId>> readers_;
};

// Whether `path` is `root` or lies below it.
bool Covers(absl::string_view root, absl::string_view path);

}  // namespace librettos::xen
