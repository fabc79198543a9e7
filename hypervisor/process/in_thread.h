// Work in a thread of its own, for what changes a thread and must not change the caller's.
#pragma once

#include <pthread.h>

#include <functional>

namespace librettos::process {

// Returns once `work` is done; an errno if there can be no thread, which is nothing to die of (EAGAIN: limits
// of processes or memory).
inline int RunInThread(const std::function<void()>& work) {
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, run, const_cast<std::function<void()>*>(&work));
  return error ? error : pthread_join(thread, nullptr);
}

}  // namespace librettos::process
