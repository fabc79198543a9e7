// Moves the guest's traffic between the network server and a NIC of its own, without losing a frame or
// changing their order: docs/protocols.md, Mode change. Acts on control/mode once per change number; says how
// it went in data/mode: "<state> <change> <pause us> <lost> [reason]". Turned by the stack's loop; never
// blocks.
//
// Towards direct the NIC is opened first, a step at a time, while all goes on through the server; only then
// are frames held back. Likewise it is closed when nothing goes by it any more.
//
// The pause is how long frames could be kept waiting: towards direct from the first that may be held to the
// switch; towards the server from the switch until the server has handed on the announcement. `lost` counts
// frames that the holding queue refused meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "drivers/net/nic_opening.h"
#include "guest/channel/guest_end.h"
#include "guest/net/interface.h"
#include "guest/platform/platform.h"

namespace librettos::guest {

enum class Mode : uint8_t { kServer, kPreparingDirect, kDirect, kPreparingServer };

class ModeSwitch final : private RegistryObserver, private DeviceObserver {
 public:
  static constexpr Nanoseconds kQuiet = 20'000'000;  // The NIC must have been silent for so long.
  // Between two steps of an opening or a closing; at least as long as the step before took, so that traffic
  // has half the time even where a step is slow.
  static constexpr Nanoseconds kStepPause = 200'000;
  // A NIC that no change asks for goes back after so long: it came too late. The request for one may come
  // after it, but not by much.
  static constexpr Nanoseconds kUnclaimed = 5'000'000'000;

  ModeSwitch(Platform& platform, Interface& interface, channel::GuestEnd& end);
  ~ModeSwitch();
  ModeSwitch(const ModeSwitch&) = delete;

  void Start();
  void Tick(Nanoseconds now);
  // When Tick has something to do without an event; UINT64_MAX: never.
  Nanoseconds next() const;
  Mode mode() const { return mode_; }

 private:
  struct Request {
    bool direct = false;
    uint64_t change = 0;
    uint32_t deadline_ms = 0;
    char nic[64] = {};
  };
  void OnKey(std::string_view path, std::string_view value, bool present) override;
  void OnDevice(const Device& device) override;
  static bool Parse(std::string_view value, Request* out);

  void Begin(Nanoseconds now);
  void BeginServer(Nanoseconds now);
  void TickPreparingDirect(Nanoseconds now);
  void TickOpening(Nanoseconds now);
  void CancelOpening(std::string_view reason);
  void TickPreparingServer(Nanoseconds now);
  void Finish(Mode mode, Nanoseconds pause, std::string_view reason);
  void Publish(Mode mode, Nanoseconds pause, std::string_view reason);
  void Declare(channel::DeclaredMode mode, Route announce);
  void CloseNic();  // At once, and waits.
  void BeginClosing(Nanoseconds pause, std::string_view reason);
  void TickClosing(Nanoseconds now);
  void RestAfterStep(Nanoseconds began);  // See kStepPause.
  void ReturnDevice(std::string_view name);
  bool settled() const { return !pending_ && (mode_ == Mode::kServer || mode_ == Mode::kDirect); }
  bool HasUnclaimed() const { return device_count_ > (in_use_[0] ? 1 : 0); }
  void ReturnUnclaimed();
  Device* FindDevice(std::string_view name);

  Platform& platform_;
  Interface& interface_;
  channel::GuestEnd& end_;
  Mode mode_ = Mode::kServer;
  Request request_;       // The newest that was asked for.
  Request now_;           // The one under way or done.
  bool pending_ = false;  // request_ is yet to be begun.
  std::unique_ptr<NicOpening> opening_;
  std::unique_ptr<Nic> closing_;  // No frame comes from it or goes to it any more.
  Nanoseconds step_at_ = 0;       // The next step of the opening or closing.
  bool opened_ = false;           // preparing-direct: the NIC is there, the ring drains.
  bool drained_ = false;          // preparing-server: the announcement is through.
  Nanoseconds deadline_ = 0;
  Nanoseconds began_ = 0;
  Nanoseconds drained_at_ = 0;  // If drained_.
  Nanoseconds pause_ = 0;
  std::string_view closing_reason_;   // Of the change that ends with the closing; a literal.
  ChannelSender::Position position_;  // preparing-server: behind the announcement.
  uint64_t dropped_before_ = 0;
  char in_use_[64] = {};  // Name of the open NIC.
  static constexpr size_t kMaxDevices = 4;
  Device devices_[kMaxDevices];
  size_t device_count_ = 0;
  Nanoseconds unclaimed_at_ = 0;  // The last device came, or the last change ended.
  char control_path_[64];
  char data_path_[64];
};

}  // namespace librettos::guest
