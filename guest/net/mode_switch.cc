#include "guest/net/mode_switch.h"

#include <algorithm>
#include <cstring>

#include "guest/net/groups.h"
#include "guest/net/network_config.h"
#include "guest/net/text.h"
#include "guest/platform/fault_point.h"

namespace librettos::guest {

namespace {

constexpr std::string_view kNames[] = {"server", "preparing-direct", "direct", "preparing-server"};
constexpr uint32_t kMaxDeadlineMs = 600'000;

std::string_view Word(std::string_view* text) {
  size_t space = text->find(' ');
  std::string_view word = text->substr(0, space);
  *text = space == std::string_view::npos ? std::string_view() : text->substr(space + 1);
  return word;
}

}  // namespace

ModeSwitch::ModeSwitch(Platform& platform, Interface& interface, channel::GuestEnd& end)
    : platform_(platform), interface_(interface), end_(end) {
  (Text() << "/local/domain/" << uint64_t{platform.self()} << "/control/mode").CopyTo(control_path_);
  (Text() << "/local/domain/" << uint64_t{platform.self()} << "/data/mode").CopyTo(data_path_);
}

ModeSwitch::~ModeSwitch() {
  platform_.registry().Unwatch(control_path_, this);
  platform_.devices().SetObserver(nullptr);
  opening_.reset();
  closing_.reset();
  CloseNic();
}

void ModeSwitch::Start() {
  Publish(Mode::kServer, 0, {});
  platform_.devices().SetObserver(this);
  if (!platform_.registry().Watch(control_path_, this).ok()) Log("mode: cannot watch control/mode");
}

bool ModeSwitch::Parse(std::string_view value, Request* out) {
  std::string_view target = Word(&value), change = Word(&value), deadline = Word(&value), nic = Word(&value);
  if (target != "direct" && target != "server") return false;
  uint64_t number;
  auto [end, error] = std::from_chars(change.data(), change.data() + change.size(), number);
  if (error != std::errc() || end != change.data() + change.size()) return false;
  if (!ParseNumber(deadline, 0, kMaxDeadlineMs, &out->deadline_ms)) return false;
  if (nic.empty() || nic.size() >= sizeof(out->nic)) return false;
  out->direct = target == "direct";
  out->change = number;
  std::memcpy(out->nic, nic.data(), nic.size());
  out->nic[nic.size()] = 0;
  return true;
}

void ModeSwitch::OnKey(std::string_view, std::string_view value, bool present) {
  if (!present) return;
  Request request;
  if (!Parse(value, &request)) return Log("mode: control/mode cannot be read and is ignored");
  if (request.change <= request_.change) return;  // Once per number.
  request_ = request;
  pending_ = true;
}

void ModeSwitch::OnDevice(const Device& device) {
  unclaimed_at_ = Now();
  if (Device* known = FindDevice(device.name)) {
    *known = device;
  } else if (device_count_ < kMaxDevices) {
    devices_[device_count_++] = device;
  } else {
    platform_.devices().Return(device.name);
  }
}

Device* ModeSwitch::FindDevice(std::string_view name) {
  for (size_t i = 0; i < device_count_; i++) {
    if (name == devices_[i].name) return &devices_[i];
  }
  return nullptr;
}

void ModeSwitch::ReturnDevice(std::string_view name) {
  Device* device = FindDevice(name);
  if (!device) return;
  platform_.devices().Return(device->name);
  *device = devices_[--device_count_];
}

void ModeSwitch::ReturnUnclaimed() {
  for (size_t i = device_count_; i-- > 0;) {
    if (std::string_view(devices_[i].name) != in_use_) ReturnDevice(devices_[i].name);
  }
}

void ModeSwitch::CloseNic() {
  Nic* nic = interface_.nic();
  interface_.SetNic(nullptr);
  delete nic;
}

// The change ends when it is closed: in server mode, with `pause` and `reason`.
void ModeSwitch::BeginClosing(Nanoseconds pause, std::string_view reason) {
  closing_.reset(interface_.nic());
  interface_.SetNic(nullptr);
  pause_ = pause;
  closing_reason_ = reason;
  step_at_ = Now();
}

void ModeSwitch::RestAfterStep(Nanoseconds began) {
  const Nanoseconds now = Now();
  step_at_ = now + std::max(kStepPause, now - began);
}

void ModeSwitch::TickClosing(Nanoseconds now) {
  if (now < step_at_) return;
  const Nanoseconds before = Now();
  const bool closed = closing_->CloseStep();
  RestAfterStep(before);
  if (!closed) return;
  closing_.reset();
  FAULT_POINT("guest.nic-closed");
  ReturnDevice(in_use_);
  in_use_[0] = 0;
  FAULT_POINT("guest.nic-returned");
  Finish(Mode::kServer, pause_, closing_reason_);
}

void ModeSwitch::Publish(Mode mode, Nanoseconds pause, std::string_view reason) {
  mode_ = mode;
  unclaimed_at_ = Now();
  interface_.SetCounter(Counter::k_mode, static_cast<uint64_t>(mode));
  Text text;
  text << kNames[static_cast<size_t>(mode)] << " " << now_.change << " " << pause / 1000 << " "
       << interface_.Get(Counter::k_tx_dropped) - dropped_before_;
  if (!reason.empty()) text << " " << reason;
  if (!platform_.registry().Publish(data_path_, text.view()).ok()) Log("mode: data/mode cannot be published");
}

void ModeSwitch::Finish(Mode mode, Nanoseconds pause, std::string_view reason) {
  if (reason.empty()) interface_.Count(Counter::k_mode_changes);
  Publish(mode, pause, reason);
  opened_ = drained_ = false;
}

void ModeSwitch::Begin(Nanoseconds now) {
  pending_ = false;
  now_ = request_;
  dropped_before_ = interface_.Get(Counter::k_tx_dropped);
  deadline_ = now + Nanoseconds{now_.deadline_ms} * 1'000'000;
  if (now_.direct == (mode_ == Mode::kDirect)) {
    // Already there. A NIC that was given for nothing goes back.
    if (now_.direct && std::string_view(now_.nic) != in_use_) ReturnDevice(now_.nic);
    return Publish(mode_, 0, {});
  }
  if (!now_.direct) return BeginServer(now);
  if (interface_.config().shared) {
    ReturnDevice(now_.nic);
    return Publish(Mode::kServer, 0, "shared-address");
  }
  Publish(Mode::kPreparingDirect, 0, {});
}

void ModeSwitch::Declare(channel::DeclaredMode mode, Route announce) {
  end_.DeclareMode(mode);
  channel::ControlMessage message = {};
  message.type = static_cast<uint16_t>(channel::ControlType::kModeChanged);
  message.value = static_cast<uint32_t>(mode);
  // On each queue pair, so that no frame overtakes it. A full ring: the server reads the declaration in the
  // header when it attaches, and at the message on another pair.
  if (!interface_.SendToAll(message).ok())
    Log("mode: a ring is full; the server learns of the mode from the header");
  interface_.Announce(announce);
}

void ModeSwitch::CancelOpening(std::string_view reason) {
  opening_.reset();
  // It may be what is wanted next.
  if (!pending_ || !request_.direct || std::string_view(request_.nic) != now_.nic) ReturnDevice(now_.nic);
  Finish(Mode::kServer, 0, reason);
}

void ModeSwitch::TickOpening(Nanoseconds now) {
  if (pending_) return CancelOpening("superseded");
  if (!opening_) {
    Device* device = FindDevice(now_.nic);
    if (!device) {
      if (now >= deadline_) Finish(Mode::kServer, 0, "no-nic");
      return;
    }
    auto opening = OpenNic(platform_, *device);
    if (!opening.ok()) return CancelOpening((Text() << "nic-" << ToString(opening.error())).view());
    opening_.reset(*opening);
    step_at_ = now;
  }
  Nic* nic = nullptr;
  if (now >= step_at_) {
    const Nanoseconds before = Now();
    auto step = opening_->Step();
    if (!step.ok()) return CancelOpening((Text() << "nic-" << ToString(step.error())).view());
    nic = *step;
    RestAfterStep(before);
  }
  if (!nic) {
    if (now >= deadline_) CancelOpening("open-timeout");
    return;
  }
  opening_.reset();
  FAULT_POINT("guest.nic-opened");
  nic->SetGroups(Groups(*interface_.lwip()).all());
  interface_.SetNic(nic);
  std::memcpy(in_use_, now_.nic, sizeof(in_use_));
  interface_.SetRoute(Route::kHold);
  interface_.Flush();  // What was put but not yet published must get out to be drained.
  began_ = Now();
  opened_ = true;
}

void ModeSwitch::TickPreparingDirect(Nanoseconds now) {
  if (!opened_) TickOpening(now);
  if (!opened_) return;
  if (interface_.channel().Drained()) {
    FAULT_POINT("guest.drained");
    Declare(channel::DeclaredMode::kDirect, Route::kNic);
    FAULT_POINT("guest.declared-direct");
    interface_.SetRoute(Route::kNic);
    interface_.Flush();
    FAULT_POINT("guest.direct");
    Finish(Mode::kDirect, Now() - began_, {});
  } else if (now >= deadline_) {
    interface_.SetRoute(Route::kChannel);
    interface_.Flush();
    BeginClosing(now - began_, "drain-timeout");
  }
}

void ModeSwitch::BeginServer(Nanoseconds now) {
  if (end_.active_server() == 0) return Publish(Mode::kDirect, 0, "no-server");
  Publish(Mode::kPreparingServer, 0, {});
  began_ = now;
  drained_ = false;
  Declare(channel::DeclaredMode::kServer, Route::kChannel);
  FAULT_POINT("guest.declared-server");
  position_ = interface_.channel().position();
  interface_.AwaitDrain(true);
  interface_.SetRoute(Route::kChannel);
  interface_.Flush();
}

void ModeSwitch::TickPreparingServer(Nanoseconds now) {
  if (!drained_ && interface_.channel().Passed(position_)) {
    FAULT_POINT("guest.announced");
    drained_ = true;
    interface_.AwaitDrain(false);
    drained_at_ = now;
    pause_ = Now() - began_;
  }
  if (drained_) {
    // Before the announcement was out the wire sent to the NIC, and that can still be under way. On some
    // wires it is never quiet: there the deadline ends it.
    const bool quiet = now - std::min(now, interface_.nic_received_at()) >= kQuiet;
    if (now - drained_at_ < kQuiet || (!quiet && now < deadline_)) return;
    return BeginClosing(pause_, {});
  }
  if (now >= deadline_) {
    interface_.AwaitDrain(false);
    Declare(channel::DeclaredMode::kDirect, Route::kNic);
    interface_.SetRoute(Route::kNic);
    interface_.Flush();
    Finish(Mode::kDirect, now - began_, "drain-timeout");
  }
}

void ModeSwitch::Tick(Nanoseconds now) {
  if (!closing_ && mode_ == Mode::kPreparingDirect) TickPreparingDirect(now);
  if (!closing_ && mode_ == Mode::kPreparingServer) TickPreparingServer(now);
  if (closing_) TickClosing(now);
  if (pending_ && (mode_ == Mode::kServer || mode_ == Mode::kDirect)) {
    Begin(now);
    if (mode_ == Mode::kPreparingDirect) TickPreparingDirect(now);
  }
  if (settled() && HasUnclaimed() && now >= unclaimed_at_ + kUnclaimed) ReturnUnclaimed();
}

Nanoseconds ModeSwitch::next() const {
  if (closing_) return step_at_;
  if (pending_ && (mode_ == Mode::kServer || mode_ == Mode::kDirect)) return 0;
  if (mode_ == Mode::kPreparingDirect) {
    if (opened_) return deadline_;
    if (pending_) return 0;
    return opening_ ? std::min(step_at_, deadline_) : deadline_;
  }
  if (mode_ == Mode::kPreparingServer) {
    if (!drained_) return deadline_;
    return std::max(drained_at_ + kQuiet, std::min(interface_.nic_received_at() + kQuiet, deadline_));
  }
  return HasUnclaimed() ? unclaimed_at_ + kUnclaimed : UINT64_MAX;
}

}  // namespace librettos::guest
