// The network server: follows what the daemon says, connects guests, takes and gives up its role, and turns
// the forwarding loops: the first one with its own.
//
// Loop thread only; stops the other loops before it changes what they look at, and lets them go on before its
// next turn. Crash-only: all it knows it reads from the registry and from the memory of guests.
// Registry, devices and guests are told of in any order and at any time; callbacks only note, and Step acts.
#pragma once

#include <memory>

#include "drivers/net/nic_opening.h"
#include "guest/platform/platform.h"
#include "netserver/announcer.h"
#include "netserver/guest_table.h"
#include "netserver/lease_table.h"
#include "netserver/loops.h"
#include "netserver/role.h"
#include "netserver/statistics_page.h"
#include "netserver/text.h"

namespace librettos::netserver {

enum class Behaviour : uint8_t {
  kNormal,
  kNeverHealthy,  // Takes the role and does nothing with it; for tests of the upgrade's way back.
};

class Server final : private RegistryObserver,
                     private DeviceObserver,
                     private channel::ServerEndObserver,
                     private Handler {
 public:
  static constexpr Nanoseconds kReclaimPeriod = 1'000'000'000;  // docs/protocols.md, Channel.
  static constexpr Nanoseconds kMaxSleep = 50'000'000;          // Half of what the heartbeat allows.
  static constexpr Nanoseconds kControlPeriod = 100'000;  // How often a busy loop looks for anything else.
  static constexpr Nanoseconds kOpeningPause = 100'000;   // Between two steps of its NIC's opening.
  static constexpr int kHealthyTurns = 3;
  // More than any NIC holds: a flood must not keep the server from its role.
  static constexpr uint32_t kMaxDiscard = 4096;
  static constexpr Nanoseconds kAnnounceRetry = 1'000'000;  // While the NIC is full.
  static constexpr int kGreetings = 4;                      // Guests signalled per turn after an activation.

  explicit Server(Platform& platform, Behaviour behaviour = Behaviour::kNormal);
  ~Server();
  Server(const Server&) = delete;

  // Publishes statistics, watches keys and devices, and is ready.
  Status Start();
  // Turns until the platform is stopping.
  void Run();
  // One turn of the loop: acts on what was noted, forwards, and sleeps if there is nothing to do.
  void Step();

 private:
  void OnKey(std::string_view path, std::string_view value, bool present) override;
  void OnDevice(const Device& device) override;
  void OnConnected(channel::ServerEnd* end) override;
  void OnChannelEvent(channel::ServerEnd* end) override;
  void OnRefused(channel::ServerEnd*) override { noted_ = true; }
  void OnLeaving(channel::ServerEnd* end) override;
  void OnEvent() override;  // The NIC.

  void OnControlKey(std::string_view name, std::string_view value, bool present);
  void OnGuestKey(DomainId id, std::string_view value, bool present);
  void Act(Nanoseconds now);
  void StepOpening();
  void FailNic(Error error);
  void RemoveGuest(Guest* guest);
  void CloseCutOff();
  bool Forward(Nanoseconds now);
  void Activate(Nanoseconds now);
  void ActivateGuest(Guest& guest, Nanoseconds now);
  void DeclareLeases(Guest& guest);
  void Greet();
  void Quiesce();
  void ReturnDevice();
  void PublishReady();
  bool AwaitsFormerHolders() const;
  void Publish(std::string_view name, std::string_view value);

  Platform& platform_;
  const Behaviour behaviour_;
  Text base_, control_base_, guests_base_;
  StatisticsPage statistics_;
  GuestTable guests_;
  LeaseTable leases_;
  Loops loops_;
  Announcer announcer_{guests_};

  Role wanted_;
  bool role_known_ = false;
  uint32_t last_epoch_ = 0;      // Of the last activation.
  uint32_t quiesced_epoch_ = 0;  // Acknowledged.
  bool active_ = false;
  int turns_ = 0;         // As active, up to kHealthyTurns.
  uint32_t greeted_ = 0;  // Guests in slots below have been signalled since the activation.
  AddressList shared_;
  SipKey key_{};
  bool key_known_ = false;
  bool announce_ = false;  // The NIC is not the one that its predecessor had (control/announce).
  bool device_known_ = false;
  Device device_{};
  std::unique_ptr<NicOpening> opening_;  // Until nic_ is there.
  std::unique_ptr<Nic> nic_;
  bool nic_armed_ = false;
  Nanoseconds reclaim_until_ = 0;
  Nanoseconds control_at_ = 0;
  uint32_t settled_ = 0;  // Guests with a connected channel, or one that is refused, as last counted.
  char ready_ = '0';
  bool noted_ = true;            // Something for Act.
  bool gone_[kMaxGuests] = {};   // Slots of guests whose key is gone.
  bool fresh_[kMaxGuests] = {};  // Slots whose channel has (again) connected.
  std::array<channel::Lease, channel::kMaxLeases> declared_;
};

}  // namespace librettos::netserver
