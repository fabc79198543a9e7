#include "hypervisor/process/watch_feed.h"

#include <algorithm>
#include <utility>

#include "hypervisor/process/path.h"

namespace librettos::process {

void WatchFeed::Watch(absl::string_view path) {
  Unwatch(path);
  syncs_.push_back({std::string(path), ""});
}

void WatchFeed::Unwatch(absl::string_view path) {
  syncs_.erase(
      std::remove_if(syncs_.begin(), syncs_.end(), [&](const Sync& sync) { return sync.path == path; }),
      syncs_.end());
}

bool WatchFeed::Changed(const std::string& path) {
  for (const Sync& sync : syncs_) {
    // It will be told with the rest, or be missing there.
    if (path > sync.cursor && Covers(sync.path, path)) return true;
  }
  if (changed_.count(path) > 0) return true;
  if (changed_.size() >= kMaxPendingMessages) return false;
  changed_.insert(path);
  return true;
}

std::optional<Message> WatchFeed::Next() {
  std::string path;
  if (!changed_.empty()) {
    path = std::move(changed_.extract(changed_.begin()).value());
  } else if (!syncs_.empty()) {
    Sync& sync = syncs_.front();
    std::optional<std::string> next = registry_.NextKey(domain_, sync.path, sync.cursor);
    if (!next.has_value()) {
      Message done{.type = WireType::kSynced, .path = std::move(sync.path)};
      syncs_.pop_front();
      return done;
    }
    path = sync.cursor = *std::move(next);
  } else {
    return std::nullopt;
  }
  Message message{.type = WireType::kKey};
  absl::StatusOr<std::string> value = registry_.Read(domain_, path);
  if (value.ok()) {
    message.a = 1;
    message.value = *std::move(value);
  }
  message.path = std::move(path);
  return message;
}

void WatchFeed::Clear() {
  changed_.clear();
  syncs_.clear();
}

}  // namespace librettos::process
