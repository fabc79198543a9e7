#include "hypervisor/process/registry.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/process/path.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

absl::Status CheckPath(absl::string_view path) {
  if (ValidPath(path)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("malformed registry path of ", path.size(), " bytes"));
}

// Calls `visit` with `path` and each of its parents until it returns true.
template <class Visit>
bool AnyAncestor(absl::string_view path, Visit visit) {
  while (!path.empty()) {
    if (visit(path)) return true;
    path = path.substr(0, path.rfind('/'));
  }
  return false;
}

}  // namespace

template <class Visit>
void Registry::ForSubtree(absl::string_view path, Visit visit) {
  auto at = keys_.find(path);
  if (at != keys_.end()) visit(at);
  // Not adjacent to `path` itself: "/a-b" sorts between "/a" and "/a/".
  const std::string below = absl::StrCat(path, "/");
  for (at = keys_.lower_bound(below); at != keys_.end() && absl::StartsWith(at->first, below);)
    at = visit(at);
}

absl::Status Registry::Write(DomainId writer, absl::string_view path, absl::string_view value) {
  if (absl::Status checked = CheckPath(path); !checked.ok()) return checked;
  if (value.size() > kMaxValueBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("value of ", path, " has ", value.size(), " bytes, more than ", kMaxValueBytes));
  }
  if (!CanWrite(writer, path)) {
    return absl::PermissionDeniedError(absl::StrCat("domain ", writer, " may not write ", path));
  }
  auto found = keys_.find(path);
  const bool gains = writer != 0 && (found == keys_.end() || found->second.writer != writer);
  if (gains && owned_[writer] >= kMaxKeys) {
    return absl::ResourceExhaustedError(absl::StrCat("domain ", writer, " has ", kMaxKeys,
                                                     " registry keys, its quota, and cannot write ", path));
  }
  if (gains) ++owned_[writer];
  const bool fresh = found == keys_.end();
  if (fresh) {
    found = keys_.emplace(std::string(path), Key{}).first;
  } else if (found->second.writer != 0 && found->second.writer != writer) {
    --owned_[found->second.writer];
  }
  Key& key = found->second;
  key.writer = writer;
  key.stale = false;
  if (!fresh && key.value == value) return absl::OkStatus();
  key.value = std::string(value);
  changed_(found->first);
  return absl::OkStatus();
}

Registry::Keys::iterator Registry::Erase(Keys::iterator key) {
  const std::string path = key->first;
  if (key->second.writer != 0) --owned_[key->second.writer];
  auto next = keys_.erase(key);
  changed_(path);
  return next;
}

absl::Status Registry::Remove(DomainId writer, absl::string_view path) {
  if (absl::Status checked = CheckPath(path); !checked.ok()) return checked;
  if (writer != 0 && OwnerOf(path) != writer) {
    return absl::PermissionDeniedError(absl::StrCat("domain ", writer, " may not remove ", path));
  }
  ForSubtree(path,
             [&](Keys::iterator key) { return CanWrite(writer, key->first) ? Erase(key) : std::next(key); });
  // What is made there anew gets its rights anew.
  if (writer == 0) DropRights(path);
  return absl::OkStatus();
}

void Registry::DropRights(absl::string_view root) {
  std::erase_if(readers_, [&](const auto& at) { return Covers(root, at.first); });
  std::erase_if(reserved_, [&](const auto& at) { return Covers(root, at); });
}

absl::StatusOr<std::string> Registry::Read(DomainId reader, absl::string_view path) const {
  if (absl::Status checked = CheckPath(path); !checked.ok()) return checked;
  // A forbidden key and an absent one look alike: existence is information too.
  auto found = keys_.find(path);
  if (found == keys_.end() || !CanRead(reader, path)) {
    return absl::NotFoundError(absl::StrCat("no registry key ", path));
  }
  return found->second.value;
}

std::vector<std::string> Registry::List(absl::string_view path) const {
  std::vector<std::string> names;
  const std::string below = path == "/" ? "/" : absl::StrCat(path, "/");
  for (auto at = keys_.lower_bound(below); at != keys_.end() && absl::StartsWith(at->first, below);) {
    const absl::string_view rest = absl::string_view(at->first).substr(below.size());
    names.emplace_back(rest.substr(0, rest.find('/')));
    // Past the child and all below it; its siblings "child-x" come between "child" and "child/".
    const std::string child = absl::StrCat(below, names.back());
    auto next = std::next(at);
    if (at->first != child) next = keys_.lower_bound(absl::StrCat(child, "0"));  // '0' follows '/'.
    at = next;
  }
  // "a", "a-b", "a/c": the child a was seen twice then.
  std::set<std::string> unique(names.begin(), names.end());
  return {unique.begin(), unique.end()};
}

void Registry::AllowRead(absl::string_view path, DomainId reader) {
  if (!ValidPath(path) || !readers_[std::string(path)].insert(reader).second) return;
  ForSubtree(path, [&](Keys::iterator key) {
    changed_(key->first);  // For the reader it appears now.
    return std::next(key);
  });
}

void Registry::Reserve(absl::string_view path) {
  if (ValidPath(path)) reserved_.insert(std::string(path));
}

bool Registry::CanRead(DomainId reader, absl::string_view path) const {
  if (reader == 0 || OwnerOf(path) == reader || ReadableByRule(path, reader)) return true;
  return AnyAncestor(path, [&](absl::string_view at) {
    auto found = readers_.find(at);
    return found != readers_.end() && found->second.count(reader) > 0;
  });
}

bool Registry::CanWrite(DomainId writer, absl::string_view path) const {
  if (writer == 0) return true;
  if (OwnerOf(path) != writer || ReservedByRule(path)) return false;
  return !AnyAncestor(path, [&](absl::string_view at) { return reserved_.count(at) > 0; });
}

absl::Status Registry::AddWatch(DomainId watcher, absl::string_view path) {
  if (absl::Status checked = CheckPath(path); !checked.ok()) return checked;
  // Watching what cannot be read would be harmless but for the cost of looking through it.
  if (!CanRead(watcher, path) && !WatchableByRule(path, watcher)) {
    return absl::PermissionDeniedError(absl::StrCat("domain ", watcher, " may not watch ", path));
  }
  auto& mine = watches_of_[watcher];
  if (mine.count(path) > 0) return absl::OkStatus();
  if (mine.size() >= kMaxWatches) {
    return absl::ResourceExhaustedError(absl::StrCat("domain ", watcher, " has ", kMaxWatches,
                                                     " watches, its quota, and cannot watch ", path));
  }
  mine.insert(std::string(path));
  watches_[std::string(path)].insert(watcher);
  return absl::OkStatus();
}

void Registry::RemoveWatch(DomainId watcher, absl::string_view path) {
  auto mine = watches_of_.find(watcher);
  if (mine == watches_of_.end()) return;
  auto found = mine->second.find(path);
  if (found == mine->second.end()) return;
  mine->second.erase(found);
  auto watch = watches_.find(path);
  watch->second.erase(watcher);
  if (watch->second.empty()) watches_.erase(watch);
}

void Registry::DropWatches(DomainId watcher) {
  auto mine = watches_of_.find(watcher);
  if (mine == watches_of_.end()) return;
  const auto paths = mine->second;
  for (const std::string& path : paths) RemoveWatch(watcher, path);
  watches_of_.erase(watcher);
}

std::vector<DomainId> Registry::Watchers(absl::string_view path) const {
  std::set<DomainId> watchers;
  AnyAncestor(path, [&](absl::string_view at) {
    auto found = watches_.find(at);
    if (found != watches_.end()) watchers.insert(found->second.begin(), found->second.end());
    return false;
  });
  std::vector<DomainId> allowed;
  for (const DomainId watcher : watchers) {
    if (CanRead(watcher, path)) allowed.push_back(watcher);
  }
  return allowed;
}

std::optional<std::string> Registry::NextKey(DomainId reader, absl::string_view prefix,
                                             absl::string_view after) const {
  if (after.empty()) {
    auto found = keys_.find(prefix);
    if (found != keys_.end() && CanRead(reader, prefix)) return found->first;
  }
  const std::string below = absl::StrCat(prefix, "/");
  auto at = after > below ? keys_.upper_bound(after) : keys_.lower_bound(below);
  for (; at != keys_.end() && absl::StartsWith(at->first, below); ++at) {
    if (CanRead(reader, at->first)) return at->first;
  }
  return std::nullopt;
}

void Registry::BeginDeclaration(DomainId domain) {
  ForSubtree(absl::StrCat("/local/domain/", domain), [&](Keys::iterator key) {
    if (key->second.writer == domain) key->second.stale = true;
    return std::next(key);
  });
}

void Registry::EndDeclaration(DomainId domain) {
  ForSubtree(absl::StrCat("/local/domain/", domain),
             [&](Keys::iterator key) { return key->second.stale ? Erase(key) : std::next(key); });
}

void Registry::DropDomain(DomainId domain) {
  DropWatches(domain);
  const std::string root = absl::StrCat("/local/domain/", domain);
  ForSubtree(root, [&](Keys::iterator key) { return Erase(key); });
  owned_.erase(domain);
  DropRights(root);
  for (auto& [path, readers] : readers_) readers.erase(domain);
  std::erase_if(readers_, [](const auto& at) { return at.second.empty(); });
}

}  // namespace librettos::process
