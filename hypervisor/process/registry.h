// The key-value store of the embedded mode: what xenstore is on Xen. A pure data structure without I/O.
//
// Keys are absolute paths with a value; a path may have a value and children. Each key belongs to who wrote
// it last: domain 0 (the daemon) or the domain in whose subtree it lies. Everything a domain passes in is
// checked: malformed paths, oversized values, foreign or reserved subtrees and exceeded quotas are refused
// and change nothing. Single-threaded.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypervisor/process/access.h"

namespace librettos::process {

// Per domain; docs/protocols.md, "Registry". A server of 256 guests has a watch and up to two keys for each.
inline constexpr size_t kMaxKeys = 1024;
inline constexpr size_t kMaxWatches = 1024;

class Registry {
 public:
  // `changed` is told of each path whose presence or value changed, after the change. It must not change the
  // registry.
  explicit Registry(std::function<void(const std::string& path)> changed) : changed_(std::move(changed)) {}

  absl::Status Write(DomainId writer, absl::string_view path, absl::string_view value);
  // Removes `path` and all below it that `writer` may write; by domain 0 also the rights given there. Absent
  // keys are not an error.
  absl::Status Remove(DomainId writer, absl::string_view path);
  absl::StatusOr<std::string> Read(DomainId reader, absl::string_view path) const;
  std::vector<std::string> List(absl::string_view path) const;  // Names of children, as domain 0 sees them.
  size_t size() const { return keys_.size(); }
  size_t watches() const { return watches_.size(); }                    // Paths that are watched.
  size_t rights() const { return readers_.size() + reserved_.size(); }  // Paths with AllowRead or Reserve.

  // Lets `reader` read `path` and below, until `reader` or the owner of the path ends, or domain 0 removes
  // it.
  void AllowRead(absl::string_view path, DomainId reader);
  // Lets only domain 0 write at and below `path`, until the owner of the path ends, or domain 0 removes it.
  void Reserve(absl::string_view path);
  bool CanRead(DomainId reader, absl::string_view path) const;
  bool CanWrite(DomainId writer, absl::string_view path) const;

  // A watch covers its path and all below it. Setting it again is not an error.
  absl::Status AddWatch(DomainId watcher, absl::string_view path);
  void RemoveWatch(DomainId watcher, absl::string_view path);
  void DropWatches(DomainId watcher);
  // Domains with a watch that covers `path`, and the right to read it; each once.
  std::vector<DomainId> Watchers(absl::string_view path) const;
  // The first key after `after` (empty: from the start) at or below `prefix` that `reader` may read.
  std::optional<std::string> NextKey(DomainId reader, absl::string_view prefix,
                                     absl::string_view after) const;

  // Between the two the domain writes anew all that is to stay; EndDeclaration removes what it wrote before
  // and did not write again.
  void BeginDeclaration(DomainId domain);
  void EndDeclaration(DomainId domain);
  // The domain is gone: its subtree, watches and read rights go with it.
  void DropDomain(DomainId domain);

 private:
  struct Key {
    std::string value;
    DomainId writer = 0;
    bool stale = false;  // Written before the declaration under way.
  };
  using Keys = std::map<std::string, Key, std::less<>>;

  Keys::iterator Erase(Keys::iterator key);
  void DropRights(absl::string_view root);
  // Calls `visit` for each key at and below `path`; visit returns the next position.
  template <class Visit>
  void ForSubtree(absl::string_view path, Visit visit);

  std::function<void(const std::string&)> changed_;
  Keys keys_;
  std::map<DomainId, size_t> owned_;  // Keys by writer other than 0.
  std::map<std::string, std::set<DomainId>, std::less<>> watches_;
  std::map<DomainId, std::set<std::string, std::less<>>> watches_of_;
  std::map<std::string, std::set<DomainId>, std::less<>> readers_;
  std::set<std::string, std::less<>> reserved_;
};

}  // namespace librettos::process
