// Tells subscribers which resources changed. A slow subscriber gets a name once, however often it changed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace librettos::daemon {

inline constexpr int kMaxSubscribers = 64;
inline constexpr int kMaxSubscribersPerViewer = 16;  // So that no viewer keeps others from watching.
inline constexpr size_t kMaxPendingNames =
    8192;  // Names of deleted resources are the only ones without other bound.

class Subscription {
 public:
  // Empty `prefixes`: all names. `viewer`: see WatchHub::Subscribe.
  Subscription(std::vector<std::string> prefixes, std::optional<uid_t> viewer)
      : prefixes_(std::move(prefixes)), viewer_(viewer) {}
  // Any thread. Waits until something changed or `timeout` passed; names in order. Empty: time-out or closed.
  std::vector<std::string> Take(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);
  // The daemon ends, or the reader was too slow even for coalesced names.
  bool closed() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  void Add(const std::string& name) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<uid_t> viewer() const { return viewer_; }

 private:
  const std::vector<std::string> prefixes_;
  const std::optional<uid_t> viewer_;
  mutable absl::Mutex mutex_;
  std::set<std::string> pending_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Any thread.
class WatchHub {
 public:
  // `viewer`: the user for whom it is, if that may only look. nullptr: kMaxSubscribers are there already, or
  // kMaxSubscribersPerViewer of that user, or the hub is closed. Forgotten when the last reference goes.
  std::shared_ptr<Subscription> Subscribe(std::vector<std::string> prefixes, std::optional<uid_t> viewer = {})
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Notify(const std::string& name) ABSL_LOCKS_EXCLUDED(mutex_);
  void CloseAll() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<Subscription>> subscriptions_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace librettos::daemon
