#include "daemon/turns.h"

#include <utility>
#include <vector>

namespace librettos::daemon {

void Turns::Add(std::function<void()> call) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back(std::move(call));
  if (!std::exchange(posted_, true)) loop_.Post([this] { Run(); });
}

void Turns::Run() {
  std::vector<std::function<void()>> now;
  {
    absl::MutexLock lock(&mutex_);
    while (!calls_.empty() && now.size() < kCallsPerTurn) {
      now.push_back(std::move(calls_.front()));
      calls_.pop_front();
    }
    posted_ = !calls_.empty();
    if (posted_) loop_.Post([this] { Run(); });
  }
  for (const auto& call : now) call();
}

}  // namespace librettos::daemon
