// One process domain, as the daemon knows it. Internal to ProcessHypervisor.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "hypervisor/event_loop.h"
#include "hypervisor/process/connection.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/domain_record.h"
#include "hypervisor/process/statistics_page.h"
#include "hypervisor/process/watch_feed.h"

namespace librettos::process {

inline constexpr absl::Duration kMinBackoff = absl::Milliseconds(10);
inline constexpr absl::Duration kMaxBackoff = absl::Seconds(1);

struct Domain {
  // A kMap or kBind that waits until this domain, which was asked about, has declared what it offers.
  struct Parked {
    DomainId requester;
    Message request;
  };

  Domain(const Registry& registry, DomainRecord record, Descriptor pidfd)
      : record(std::move(record)), pidfd(std::move(pidfd)), feed(registry, this->record.id) {}

  const DomainRecord record;
  const Descriptor pidfd;
  bool adopted = false;
  bool destroyed = false;  // By Destroy.

  std::unique_ptr<Connection> connection;
  bool declared = false;                                   // On the present connection.
  bool ever_declared = false;                              // To this daemon.
  absl::Duration declared_at = -absl::InfiniteDuration();  // EventLoop::Monotonic.
  absl::Duration backoff = kMinBackoff;
  EventLoop::TimerId reconnect_timer = 0;
  WatchFeed feed;
  std::vector<Parked> parked;
  std::set<std::pair<std::string, uint32_t>> returning;  // NICs and givings; see OnReturned.

  std::unique_ptr<StatisticsPage> page;
  uint32_t page_ref = 0;

  uint64_t violations = 0;
  uint64_t unreported_violations = 0;
  absl::Duration last_report = -absl::InfiniteDuration();
};

}  // namespace librettos::process
