// Threads for what blocks: libxl takes seconds to build a domain, and waits for guests that may not answer.
//
// Each thread has a libxl context of its own. Submit from the loop thread; jobs run on some worker.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "hypervisor/xen/libxl_context.h"

namespace librettos::xen {

class Workers {
 public:
  using Job = std::function<void(LibxlContext& context)>;
  // Makes the context of a worker; retried by each job while it fails.
  using ContextMaker = std::function<absl::StatusOr<std::unique_ptr<LibxlContext>>()>;

  Workers(int threads, ContextMaker maker);
  // Finishes all jobs: what was begun to be built or destroyed must not stay half done.
  ~Workers() ABSL_LOCKS_EXCLUDED(mutex_);
  Workers(const Workers&) = delete;

  // Jobs with the same key run one after another, in order; with others, at the same time. `failed` is called
  // instead, on the worker, if it has no context.
  void Submit(uint32_t key, Job job, std::function<void(absl::Status)> failed) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    Job job;
    std::function<void(absl::Status)> failed;
  };
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  bool Runnable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ready_.empty() || ending_; }

  const ContextMaker maker_;
  absl::Mutex mutex_;
  // A key is in `queues_` while it has jobs waiting or running, and in `ready_` if none of them runs.
  std::map<uint32_t, std::deque<Entry>> queues_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint32_t> ready_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace librettos::xen
