#include "netserver/server.h"

#include <algorithm>
#include <new>

#include "guest/platform/fault_point.h"

namespace librettos::netserver {
namespace {

bool ParseKey(std::string_view text, SipKey& out) {
  if (text.size() != 2 * out.size()) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const char* at = text.data() + 2 * i;
    auto [end, error] = std::from_chars(at, at + 2, out[i], 16);
    if (error != std::errc() || end != at + 2) return false;
  }
  return true;
}

}  // namespace

Server::Server(Platform& platform, Behaviour behaviour) : platform_(platform), behaviour_(behaviour) {
  base_.Add("/local/domain/").Add(platform.self());
  control_base_.Add(base_.view()).Add("/control");
  guests_base_.Add(base_.view()).Add("/backend/vif");
}

Server::~Server() {
  loops_.End();
  platform_.devices().SetObserver(nullptr);
  platform_.registry().Unwatch(control_base_.view(), this);
  platform_.registry().Unwatch(guests_base_.view(), this);
  if (nic_) nic_->SetHandler(nullptr);
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    if (Guest* guest = guests_.at(slot)) delete guest->end;
  }
}

Status Server::Start() {
  Status status = statistics_.Open(platform_);
  if (!status.ok()) return status;
  status = loops_.Start(platform_, guests_, leases_, statistics_.totals());
  if (!status.ok()) return status;
  // In this order: once the role is known, so are all guests, and `ready` cannot speak too soon.
  status = platform_.registry().Watch(guests_base_.view(), this);
  if (status.ok()) status = platform_.registry().Watch(control_base_.view(), this);
  if (!status.ok()) return status;
  platform_.devices().SetObserver(this);
  FAULT_POINT("server.starting");
  ready_ = '1';
  Publish("data/ready", "1");
  return {};
}

void Server::Publish(std::string_view name, std::string_view value) {
  // Refusals are logged and counted by the platform.
  (void)platform_.registry().Publish(Text().Add(base_.view()).Add("/").Add(name).view(), value);
}

// ---- Notes ----

void Server::OnKey(std::string_view path, std::string_view value, bool present) {
  if (path.starts_with(control_base_.view())) {
    path.remove_prefix(control_base_.view().size());
    if (path.starts_with('/')) OnControlKey(path.substr(1), value, present);
    return;
  }
  // <guests base>/<g>/0/guest; the rest there is published by ourselves.
  if (!path.starts_with(guests_base_.view())) return;
  path.remove_prefix(guests_base_.view().size());
  constexpr std::string_view kTail = "/0/guest";
  if (!path.starts_with('/') || !path.ends_with(kTail) || path.size() <= kTail.size() + 1) return;
  uint64_t id;
  if (!ParseNumber(path.substr(1, path.size() - 1 - kTail.size()), UINT32_MAX, id)) return;
  OnGuestKey(static_cast<DomainId>(id), value, present);
}

void Server::OnControlKey(std::string_view name, std::string_view value, bool present) {
  noted_ = true;
  loops_.Stop();
  if (name == "role" && present) {
    if (!Role::Parse(value, wanted_)) return Log(Text().Add("role not understood: ").Add(value).view());
    role_known_ = true;
  } else if (name == "shared") {
    AddressList list;
    if (present && !ParseAddressList(value, list)) {
      return Log(Text().Add("shared addresses not understood: ").Add(value).view());
    }
    shared_ = list;
    loops_.SetShared(shared_);
  } else if (name == "announce") {
    announce_ = present;
  } else if (name == "lease-key" && present) {
    SipKey key;
    if (!ParseKey(value, key)) return Log("control/lease-key is not 32 hexadecimal digits");
    if (key_known_ && key == key_) return;
    key_ = key;
    key_known_ = true;
    leases_.SetKey(key);
    if (!active_) return;
    for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
      if (guests_.at(slot) && guests_.at(slot)->active) DeclareLeases(*guests_.at(slot));
    }
  }
}

void Server::OnGuestKey(DomainId id, std::string_view value, bool present) {
  noted_ = true;
  loops_.Stop();
  Guest* guest = guests_.Find(id);
  if (!present) {
    // Later: its channel may be calling us.
    if (guest) gone_[guest->slot] = true;
    return;
  }
  GuestIdentity identity;
  if (!GuestIdentity::Parse(value, identity)) {
    return Log(Text().Add("identity of guest ").Add(id).Add(" not understood: ").Add(value).view());
  }
  if (guest) {
    gone_[guest->slot] = false;
    // Leases come and go with sharing: attached anew, they are asked for again.
    if (identity.shared != guest->shared()) fresh_[guest->slot] = guest->end->connected();
    if (!guests_.Change(guest, identity).ok()) {
      Log(Text()
              .Add("guest ")
              .Add(id)
              .Add(": another guest has its address or MAC; keeps its old ones")
              .view());
    }
    return;
  }
  Result<Guest*> added = guests_.Add(id, identity);
  if (!added.ok()) {
    return Log(Text().Add("guest ").Add(id).Add(" not added: ").Add(ToString(added.error())).view());
  }
  guest = added.value();
  guest->row = statistics_.Start(guest->slot, id);
  gone_[guest->slot] = fresh_[guest->slot] = false;
  Result<channel::ServerEnd*> end = channel::ServerEnd::Create(
      platform_, id, Text().Add("/local/domain/").Add(id).Add("/device/vif/0").view(), this);
  if (!end.ok()) {
    Log(Text().Add("channel of guest ").Add(id).Add(" not created: ").Add(ToString(end.error())).view());
    return RemoveGuest(guest);
  }
  guest->end = end.value();
  // Connected before its name was known here.
  fresh_[guest->slot] = guest->end->connected();
}

void Server::OnDevice(const Device& device) {
  noted_ = true;
  std::string_view name(device.name);
  if (device_known_ && name == device_.name) return;
  if (device_known_) {
    Log(Text().Add("one NIC is enough, returned: ").Add(name).view());
    return platform_.devices().Return(name);
  }
  device_ = device;
  device_known_ = true;
  Result<NicOpening*> opening = OpenNic(platform_, device_);
  if (!opening.ok()) return FailNic(opening.error());
  opening_.reset(opening.value());
}

void Server::FailNic(Error error) {
  Publish("data/role", Text().Add("failed nic ").Add(device_.name).Add(": ").Add(ToString(error)).view());
  ReturnDevice();
}

void Server::OnConnected(channel::ServerEnd* end) {
  noted_ = true;
  if (Guest* guest = guests_.Find(end->guest())) fresh_[guest->slot] = true;
}

void Server::OnChannelEvent(channel::ServerEnd* end) {
  if (Guest* guest = guests_.Find(end->guest()); guest && guest->active) loops_.Wake(*guest, Now());
}

void Server::OnLeaving(channel::ServerEnd*) { loops_.Stop(); }

void Server::OnEvent() { loops_.first().NicReady(); }

// ---- Acts ----

void Server::StepOpening() {
  Result<Nic*> nic = opening_->Step();
  if (!nic.ok()) return FailNic(nic.error());
  if (!nic.value()) return;
  opening_.reset();
  nic_.reset(nic.value());
  nic_->SetPromiscuous(true);
  noted_ = true;  // It may be what the activation waited for.
}

void Server::Act(Nanoseconds now) {
  noted_ = false;
  loops_.Stop();
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (guest && gone_[slot]) RemoveGuest(guest);
  }
  if (wanted_.kind == Role::Kind::kQuiesced && wanted_.epoch >= last_epoch_ &&
      wanted_.epoch != quiesced_epoch_) {
    Quiesce();
  }
  if (wanted_.kind == Role::Kind::kActive && wanted_.epoch > last_epoch_ && nic_) Activate(now);
  settled_ = 0;
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (!guest) continue;
    if (std::exchange(fresh_[slot], false) && active_) {
      loops_.Detach(*guest);
      ActivateGuest(*guest, now);
      guest->end->Signal(0);
    }
    // Nobody waits for a guest that offers what cannot be taken.
    settled_ += guest->end->connected() || guest->end->refused();
  }
  PublishReady();
}

void Server::RemoveGuest(Guest* guest) {
  loops_.Detach(*guest);
  delete guest->end;
  statistics_.End(guest->slot);
  gone_[guest->slot] = fresh_[guest->slot] = false;
  guests_.Remove(guest);
}

// What the loops found, and left for here: a channel is closed while nobody looks at it.
void Server::CloseCutOff() {
  loops_.Stop();
  noted_ = true;
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (!guest) continue;
    const channel::Violation violation = guest->cut_off.exchange(channel::Violation::kNone);
    if (violation == channel::Violation::kNone) continue;
    loops_.Detach(*guest);
    guest->end->Close(violation);
    Set(guest->row, Counter::k_violation, static_cast<uint64_t>(violation));
    Log(Text()
            .Add("channel of guest ")
            .Add(guest->id)
            .Add(" closed: ")
            .Add(channel::ToString(violation))
            .Add("; restart the guest to connect it again")
            .view());
  }
}

void Server::Activate(Nanoseconds now) {
  if (active_) Quiesce();  // A newer epoch of the same role: take everything up anew.
  if (!nic_) return;
  FAULT_POINT("server.told");
  last_epoch_ = wanted_.epoch;
  active_ = true;
  turns_ = 0;
  reclaim_until_ = now + kReclaimPeriod;
  Set(statistics_.totals(), Counter::k_epoch, last_epoch_);
  if (behaviour_ == Behaviour::kNormal) {
    if (!key_known_) {
      Random(std::as_writable_bytes(std::span(key_)));
      leases_.SetKey(key_);
      Log("no control/lease-key: leases of this server will not outlive it");
    }
    leases_.Start(last_epoch_);
    if (announce_) {
      // It may be what the predecessor has forwarded already, by its own NIC.
      loops_.first().Discard(*nic_, kMaxDiscard);
      announcer_.Start(shared_, nic_->address());
    }
    loops_.SetNic(nic_.get(), shared_);
    for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
      fresh_[slot] = false;
      if (guests_.at(slot)) ActivateGuest(*guests_.at(slot), now);
    }
    greeted_ = 0;
  }
  FAULT_POINT("server.activated");
  Publish("data/role", Text().Add("active ").Add(last_epoch_).view());
  // On the clock that all processes share.
  Log(Text()
          .Add("active ")
          .Add(last_epoch_)
          .Add(" told_us=")
          .Add(now / 1000)
          .Add(" active_us=")
          .Add(Now() / 1000)
          .view());
}

void Server::ActivateGuest(Guest& guest, Nanoseconds now) {
  if (behaviour_ != Behaviour::kNormal || !guest.end->connected()) return;
  channel::Violation violation = guest.end->Activate(last_epoch_);
  if (violation != channel::Violation::kNone) {
    Set(guest.row, Counter::k_violation, static_cast<uint64_t>(violation));
    return;
  }
  Set(guest.row, Counter::k_violation, 0);
  guest.mode = guest.shared() ? channel::DeclaredMode::kServer : guest.end->declared_mode();
  DeclareLeases(guest);
  loops_.Attach(guest, now);
  if (announce_) announcer_.Include(guest);
}

// Signals guests after an activation, a few in each turn: each that wakes up takes the CPU, perhaps this one,
// and those with something to do were signalled at once.
void Server::Greet() {
  for (int count = 0; greeted_ < guests_.limit() && count < kGreetings; ++greeted_) {
    Guest* guest = guests_.at(greeted_);
    if (!guest || !guest->active) continue;
    guest->end->Signal(0);
    ++count;
  }
}

void Server::DeclareLeases(Guest& guest) {
  if (!guest.shared()) return;
  size_t count = guest.end->DeclaredLeases(declared_);
  for (size_t i = 0; i < count; ++i) {
    if (leases_.Declare(guest, declared_[i], guests_) != Reclaim::kTaken)
      Count(guest.row, Counter::k_lease_refusals);
  }
  Set(guest.row, Counter::k_leases, guest.lease_count);
}

// Between two turns: nothing is under way, all that was handed on is committed and published.
void Server::Quiesce() {
  FAULT_POINT("server.quiescing");
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (!guest) continue;
    loops_.Detach(*guest);
    guest->end->Deactivate();
  }
  announcer_.Stop();
  bool for_good = wanted_.kind == Role::Kind::kQuiesced;
  active_ = false;
  if (!for_good) return;
  loops_.SetNic(nullptr, shared_);
  if (device_known_) ReturnDevice();
  FAULT_POINT("server.nic-returned");
  last_epoch_ = std::max(last_epoch_, wanted_.epoch);
  quiesced_epoch_ = wanted_.epoch;
  Publish("data/role", Text().Add("quiesced ").Add(wanted_.epoch).view());
}

void Server::ReturnDevice() {
  opening_.reset();
  nic_.reset();
  nic_armed_ = false;
  device_known_ = false;
  platform_.devices().Return(device_.name);
}

void Server::PublishReady() {
  // Before the first role nothing is known to have been told.
  char ready = role_known_ && settled_ == guests_.count() ? '2' : '1';
  if (ready == ready_) return;
  ready_ = ready;
  Publish("data/ready", {&ready_, 1});
}

// A guest that is still to connect could hold any port that is free here.
bool Server::AwaitsFormerHolders() const {
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    const Guest* guest = guests_.at(slot);
    if (guest && guest->shared() && !guest->end->connected() &&
        guest->end->violation() == channel::Violation::kNone) {
      return true;
    }
  }
  return false;
}

// ---- Loop ----

void Server::Run() {
  while (!platform_.loop().stopping()) Step();
}

// One turn of the active server's own loop.
bool Server::Forward(Nanoseconds now) {
  bool worked = announcer_.pending() && announcer_.Turn(*nic_);
  worked = loops_.first().Turn(now) || worked;
  if (greeted_ == 0) FAULT_POINT("server.greeting");
  Greet();
  if (loops_.TakeClosed()) CloseCutOff();
  return worked;
}

void Server::Step() {
  if (opening_) StepOpening();
  Nanoseconds now = Now();
  if (noted_) Act(now);
  bool forwards = active_ && behaviour_ == Behaviour::kNormal;
  if (forwards && reclaim_until_) {
    loops_.HoldLeases(now < reclaim_until_ && AwaitsFormerHolders());
    if (now >= reclaim_until_) reclaim_until_ = 0;
  }
  loops_.Resume();
  // A loop that hangs is a server that hangs.
  const bool all_turned = loops_.AllTurned();
  if (all_turned) statistics_.Beat();
  bool worked = false;
  if (!active_ && nic_ && announce_) loops_.first().Discard(*nic_, kMaxDiscard);
  if (forwards) {
    worked = Forward(now);
    if (turns_ < kHealthyTurns) {
      if (all_turned && ++turns_ == kHealthyTurns) {
        FAULT_POINT("server.healthy");
        Publish("data/healthy", Text().Add(last_epoch_).view());
      }
      loops_.WakeAll();
    }
  }
  bool sleeps = !forwards || (!worked && turns_ == kHealthyTurns && greeted_ >= guests_.limit() &&
                              loops_.first().CanSleep(now));
  if (sleeps) {
    if (forwards && !nic_armed_) {
      nic_->SetHandler(this);
      nic_armed_ = true;
    }
    Nanoseconds until = now + kMaxSleep;
    if (opening_) until = now + kOpeningPause;
    if (forwards && announcer_.pending()) until = now + kAnnounceRetry;
    if (forwards && reclaim_until_ > now) until = std::min(until, reclaim_until_);
    if (forwards) until = std::min(until, loops_.first().RestsUntil());
    platform_.loop().Wait(noted_ ? 0 : until);
    control_at_ = now;
    return;
  }
  if (nic_armed_ && worked) {
    nic_->SetHandler(nullptr);
    nic_armed_ = false;
  }
  if (now - control_at_ >= kControlPeriod) {
    platform_.loop().Wait(0);
    control_at_ = now;
  }
}

}  // namespace librettos::netserver
