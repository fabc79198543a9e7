// What one domain is still to be told of the registry: paths, never values, so that its memory stays bounded
// however often a key changes. Values are read when there is room to send them; so a slow reader skips
// intermediate values. Single-threaded.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "hypervisor/process/message.h"
#include "hypervisor/process/registry.h"

namespace librettos::process {

inline constexpr size_t kMaxPendingMessages = 1024;  // docs/protocols.md, "Registry".

class WatchFeed {
 public:
  // `domain` reads `registry`, which outlives this.
  WatchFeed(const Registry& registry, DomainId domain) : registry_(registry), domain_(domain) {}

  // A watch was set: all keys below `path` are to be told, then kSynced.
  void Watch(absl::string_view path);
  void Unwatch(absl::string_view path);
  // A watched path changed. False: too many are pending, the domain does not read.
  [[nodiscard]] bool Changed(const std::string& path);
  std::optional<Message> Next();
  void Clear();

 private:
  // A watch whose first state is being told; `cursor` is the last path told.
  struct Sync {
    std::string path;
    std::string cursor;
  };

  const Registry& registry_;
  const DomainId domain_;
  std::set<std::string> changed_;
  std::deque<Sync> syncs_;  // At most kMaxWatches: one for each watched path.
};

}  // namespace librettos::process
