// The guest's network as a whole: configuration, channel, interface, leases, change of mode, timers,
// statistics. One per process (lwIP is); turned by the program's loop through guest/sockets.
#pragma once

#include <cstdint>

#include "guest/channel/guest_end.h"
#include "guest/net/interface.h"
#include "guest/net/lease_client.h"
#include "guest/net/mode_switch.h"
#include "guest/net/network_config.h"
#include "guest/net/sharing.h"
#include "guest/platform/platform.h"
#include "guest/platform/statistics.h"

namespace librettos::guest {

class Stack final : private InterfaceObserver, private channel::GuestEndObserver {
 public:
  static constexpr Nanoseconds kSpin = 20'000;  // Polls for so long before it sleeps.

  // Waits for the configuration in the registry, then brings the network up. kUnavailable: asked to end
  // meanwhile.
  static Status Start(Platform& platform);
  static Stack* instance();  // nullptr before Start.
  // For tests that start again.
  static void Stop();

  // Receives, runs timers, sends. If there was nothing to do, sleeps until there is or until `deadline` (a
  // value of Now(); 0 does not sleep) and then does it. The loop's CPU only.
  void Turn(Nanoseconds deadline);
  Sharing& sharing() { return sharing_; }
  Platform& platform() { return platform_; }
  Interface& interface() { return *interface_; }
  LeaseClient& leases() { return *leases_; }
  ModeSwitch& mode() { return *mode_; }
  bool shared() const { return interface_->config().shared; }

 private:
  explicit Stack(Platform& platform) : platform_(platform), sharing_(platform) {}
  ~Stack();
  Status Init();
  Status ReadConfig(NetworkConfig* config);
  Status PublishStatistics();
  bool Work();
  void TurnLocked(Nanoseconds deadline);
  void Timers(Nanoseconds now);
  void OnControl(const channel::ControlMessage& message) override;
  void OnRoom() override;
  void OnServerViolation(channel::Violation violation) override;
  void OnChannelEvent() override;
  void OnServerChanged(DomainId server, uint32_t epoch) override;

  Platform& platform_;
  Sharing sharing_;
  Region* statistics_ = nullptr;
  StatisticsHeader* header_ = nullptr;
  channel::GuestEnd* end_ = nullptr;
  Interface* interface_ = nullptr;
  LeaseClient* leases_ = nullptr;
  ModeSwitch* mode_ = nullptr;
  Nanoseconds next_timer_ = 0;
  Nanoseconds next_wait_ = 0;
};

}  // namespace librettos::guest
