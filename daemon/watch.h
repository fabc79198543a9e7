// Tells subscribers which resources changed. A slow subscriber gets a name once, however often it changed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace librettos::daemon {

inline constexpr int kMaxSubscribers = 64;
inline constexpr int kMaxSubscribersPerViewer = 16;  // So that no viewer keeps others from watching.
inline constexpr size_t kMaxPendingNames =
    8192;  // Names of deleted resources are the only ones without other bound.

// Loop thread only.
class Subscription {
 public:
  // See WatchHub::Subscribe.
  Subscription(std::vector<std::string> prefixes, std::optional<uid_t> viewer, std::function<void()> changed)
      : prefixes_(std::move(prefixes)), viewer_(viewer), changed_(std::move(changed)) {}
  // Names of what changed since the last call, in order.
  std::vector<std::string> Take();
  // The daemon ends, or the reader was too slow even for coalesced names.
  bool closed() const { return closed_; }
  void Close();
  void Add(const std::string& name);
  std::optional<uid_t> viewer() const { return viewer_; }

 private:
  const std::vector<std::string> prefixes_;
  const std::optional<uid_t> viewer_;
  const std::function<void()> changed_;
  std::set<std::string> pending_;
  bool closed_ = false;
};

// Loop thread only.
class WatchHub {
 public:
  // Empty `prefixes`: all names. `viewer`: the user for whom it is, if that may only look. `changed` is
  // called when the first name is there to be taken, and at the end, in the midst of the change: it only
  // notes. nullptr: kMaxSubscribers are there already, or kMaxSubscribersPerViewer of that user, or the hub
  // is closed. Forgotten when the last reference goes.
  std::shared_ptr<Subscription> Subscribe(
      std::vector<std::string> prefixes, std::optional<uid_t> viewer = {},
      std::function<void()> changed = [] {});
  void Notify(const std::string& name);
  void CloseAll();

 private:
  std::vector<std::weak_ptr<Subscription>> subscriptions_;
  bool closed_ = false;
};

}  // namespace librettos::daemon
