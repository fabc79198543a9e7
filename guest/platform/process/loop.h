// The loop of a process domain, on epoll.
//
// A Wait whose deadline has passed (a domain that polls its rings) looks at descriptors only every
// kPollInterval, so that a turn of a busy loop costs no system call.
#pragma once

#include <sys/epoll.h>

#include <span>
#include <vector>

#include "guest/platform/process/descriptor.h"
#include "guest/platform/process/descriptor_loop.h"

namespace librettos::process {

class ProcessLoop final : public Loop, public DescriptorLoop {
 public:
  static constexpr Nanoseconds kPollInterval = 5000;

  ProcessLoop();  // Panics if the kernel has no epoll instance for us.

  void Wait(Nanoseconds deadline) override;
  void Sleep(Nanoseconds deadline) override;
  bool stopping() const override { return stopping_; }
  Status Add(int descriptor, uint32_t events, Handler* handler) override;
  void Remove(int descriptor) override;

  // Calls `handler` once at the end of this round, or in the next Wait, which then does not sleep. It must
  // stay alive as long as the loop.
  void RunSoon(Handler* handler);
  void Stop() { stopping_ = true; }

 private:
  struct Entry {
    Handler* handler = nullptr;
    uint32_t generation = 0;  // Tells a stale event of a reused descriptor number from a fresh one.
  };
  void RunDeferred();
  int Await(std::span<epoll_event> events, Nanoseconds sleep);

  Descriptor epoll_;
  std::vector<Entry> entries_;  // By descriptor number.
  std::vector<Handler*> soon_;
  Nanoseconds last_poll_ = 0;
  bool stopping_ = false;
};

}  // namespace librettos::process
