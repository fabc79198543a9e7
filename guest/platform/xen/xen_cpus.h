// The virtual CPUs of a Xen domain. A CPU is woken by an event channel to itself; further ones sleep in Xen
// (SCHEDOP_poll), the first one in the loop.
#pragma once

#include <array>
#include <atomic>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/events.h"

namespace librettos::xen {

class XenCpus final : public Cpus, private Handler {
 public:
  explicit XenCpus(Events& events) : events_(events) {}
  // Finds out how many there are. Once, after Events::Init.
  void Init();

  unsigned count() const override { return count_; }
  Status Start(unsigned cpu, Work* work) override;
  void Wake(unsigned cpu) override;
  void Sleep(unsigned cpu, Nanoseconds deadline) override;

 private:
  // On a cache line of its own: others write to it.
  struct alignas(64) One {
    std::atomic<bool> woken{false};  // Its next sleep ends at once.
    evtchn_port_t port = 0;
  };
  void OnEvent() override;  // The loop was woken.

  Events& events_;
  unsigned count_ = 1;
  std::array<One, kMaxCpus> cpus_;
};

}  // namespace librettos::xen
