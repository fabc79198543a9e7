#include "hypervisor/xen/workers.h"

#include <utility>

namespace librettos::xen {

Workers::Workers(int threads, ContextMaker maker) : maker_(std::move(maker)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Workers::~Workers() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void Workers::Submit(uint32_t key, Job job, std::function<void(absl::Status)> failed) {
  absl::MutexLock lock(&mutex_);
  auto [queue, fresh] = queues_.try_emplace(key);
  queue->second.push_back({std::move(job), std::move(failed)});
  if (fresh) ready_.push_back(key);
}

void Workers::Run() {
  std::unique_ptr<LibxlContext> context;
  for (;;) {
    uint32_t key;
    Entry entry;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Workers::Runnable));
      if (ready_.empty()) return;  // What still runs on other threads puts its successors there itself.
      key = ready_.front();
      ready_.pop_front();
      entry = std::move(queues_[key].front());
      queues_[key].pop_front();
    }
    absl::Status usable;
    if (context == nullptr) {
      auto made = maker_();
      if (made.ok()) {
        context = *std::move(made);
      } else {
        usable = made.status();
      }
    }
    if (usable.ok()) {
      entry.job(*context);
    } else {
      entry.failed(usable);
    }
    absl::MutexLock lock(&mutex_);
    auto queue = queues_.find(key);
    if (queue->second.empty()) {
      queues_.erase(queue);
    } else {
      ready_.push_back(key);
    }
  }
}

}  // namespace librettos::xen
