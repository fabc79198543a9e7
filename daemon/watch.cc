#include "daemon/watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace librettos::daemon {

std::vector<std::string> Subscription::Take() {
  const auto names = std::exchange(pending_, {});
  return {names.begin(), names.end()};
}

void Subscription::Close() {
  if (!std::exchange(closed_, true)) changed_();
}

void Subscription::Add(const std::string& name) {
  bool wanted = prefixes_.empty() ||
                std::any_of(prefixes_.begin(), prefixes_.end(),
                            [&](const std::string& prefix) { return absl::StartsWith(name, prefix); });
  if (!wanted || closed_) return;
  const bool first = pending_.empty();
  pending_.insert(name);
  if (pending_.size() > kMaxPendingNames) return Close();
  if (first) changed_();
}

std::shared_ptr<Subscription> WatchHub::Subscribe(std::vector<std::string> prefixes,
                                                  std::optional<uid_t> viewer,
                                                  std::function<void()> changed) {
  std::erase_if(subscriptions_, [](const auto& s) { return s.expired(); });
  if (closed_ || subscriptions_.size() >= kMaxSubscribers) return nullptr;
  if (viewer.has_value()) {
    const auto own = std::count_if(subscriptions_.begin(), subscriptions_.end(), [&](const auto& weak) {
      const auto subscription = weak.lock();
      return subscription != nullptr && subscription->viewer() == viewer;
    });
    if (own >= kMaxSubscribersPerViewer) return nullptr;
  }
  auto subscription = std::make_shared<Subscription>(std::move(prefixes), viewer, std::move(changed));
  subscriptions_.push_back(subscription);
  return subscription;
}

void WatchHub::Notify(const std::string& name) {
  for (auto& weak : subscriptions_) {
    if (auto subscription = weak.lock()) subscription->Add(name);
  }
}

void WatchHub::CloseAll() {
  closed_ = true;
  for (auto& weak : subscriptions_) {
    if (auto subscription = weak.lock()) subscription->Close();
  }
}

}  // namespace librettos::daemon
