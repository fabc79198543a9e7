#include "daemon/watch.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace librettos::daemon {

std::vector<std::string> Subscription::Take(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(
      absl::Condition(
          +[](Subscription* s) ABSL_NO_THREAD_SAFETY_ANALYSIS { return s->closed_ || !s->pending_.empty(); },
          this),
      timeout);
  std::vector<std::string> names(pending_.begin(), pending_.end());
  pending_.clear();
  return names;
}

bool Subscription::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

void Subscription::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void Subscription::Add(const std::string& name) {
  bool wanted = prefixes_.empty() ||
                std::any_of(prefixes_.begin(), prefixes_.end(),
                            [&](const std::string& prefix) { return absl::StartsWith(name, prefix); });
  if (!wanted) return;
  absl::MutexLock lock(&mutex_);
  pending_.insert(name);
  if (pending_.size() > kMaxPendingNames) closed_ = true;
}

std::shared_ptr<Subscription> WatchHub::Subscribe(std::vector<std::string> prefixes,
                                                  std::optional<uid_t> viewer) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(subscriptions_, [](const auto& s) { return s.expired(); });
  if (closed_ || subscriptions_.size() >= kMaxSubscribers) return nullptr;
  if (viewer.has_value()) {
    const auto own = std::count_if(subscriptions_.begin(), subscriptions_.end(), [&](const auto& weak) {
      const auto subscription = weak.lock();
      return subscription != nullptr && subscription->viewer() == viewer;
    });
    if (own >= kMaxSubscribersPerViewer) return nullptr;
  }
  auto subscription = std::make_shared<Subscription>(std::move(prefixes), viewer);
  subscriptions_.push_back(subscription);
  return subscription;
}

void WatchHub::Notify(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  for (auto& weak : subscriptions_) {
    if (auto subscription = weak.lock()) subscription->Add(name);
  }
}

void WatchHub::CloseAll() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  for (auto& weak : subscriptions_) {
    if (auto subscription = weak.lock()) subscription->Close();
  }
}

}  // namespace librettos::daemon
