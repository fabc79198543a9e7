#include "guest/channel/server_end.h"

#include <array>
#include <memory>
#include <new>

#include "guest/channel/lease_table.h"
#include "guest/channel/ring_key.h"
#include "guest/channel/text.h"
#include "guest/channel/view.h"
#include "guest/platform/fault_point.h"

namespace librettos::channel {
namespace {

class ServerEndImpl final : public ServerEnd, private RegistryObserver, private MapObserver {
 public:
  ServerEndImpl(Platform& platform, DomainId guest, std::string_view guest_base, ServerEndObserver* observer)
      : platform_(platform), guest_(guest), observer_(observer) {
    frontend_.Add(guest_base).Add("/frontend/").Add(platform.self());
    Text vif;
    vif.Add("/local/domain/").Add(platform.self()).Add("/backend/vif/").Add(guest).Add("/0");
    state_path_.Add(vif.view()).Add("/state");
    error_path_.Add(vif.view()).Add("/error");
    for (uint32_t pair = 0; pair < kMaxQueuePairs; ++pair) {
      binders_[pair].end = this;
      binders_[pair].pair = pair;
    }
  }

  ~ServerEndImpl() override {
    if (watching_) platform_.registry().Unwatch(frontend_.view(), this);
    Disconnect();
    platform_.registry().Remove(state_path_.view());
    platform_.registry().Remove(error_path_.view());
  }

  Status Start() {
    if (frontend_.full()) return Error::kInvalidArgument;
    PublishState(kStateKnown, {});
    watching_ = true;
    return platform_.registry().Watch(frontend_.view(), this);
  }

  DomainId guest() const override { return guest_; }
  bool connected() const override { return phase_ == Phase::kConnected; }
  bool refused() const override { return phase_ == Phase::kFailed || phase_ == Phase::kClosed; }
  bool active() const override { return active_; }
  const Geometry& geometry() const override { return key_.geometry; }
  Consumer<>& transmit(uint32_t pair) override { return transmit_[pair]; }
  Producer<>& receive(uint32_t pair) override { return receive_[pair]; }
  Violation violation() const override { return violation_; }

  Violation Activate(uint32_t epoch) override {
    if (!connected()) return violation_ != Violation::kNone ? violation_ : Violation::kBadHeader;
    std::byte* memory = mapping_->bytes().data();
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs; ++pair) {
      Violation violation = transmit_[pair].Attach(ViewOf(memory, key_.geometry, pair, false));
      if (violation == Violation::kNone) {
        violation = receive_[pair].Attach(ViewOf(memory, key_.geometry, pair, true));
      }
      if (violation != Violation::kNone) {
        Refuse(violation);
        return violation;
      }
    }
    FAULT_POINT("server.attached");
    Header* header = HeaderOf(memory);
    // In this order, so that the guest never takes our epoch for our predecessor's (GuestEnd, FindServer).
    // Release: each is seen after the one before.
    header->server.store(0, std::memory_order_release);
    FAULT_POINT("server.unnamed");
    header->server_epoch.store(epoch, std::memory_order_release);
    header->server.store(platform_.self(), std::memory_order_release);
    active_ = true;
    // Whatever signal our predecessor owed the guest is made good by one: the guest looks at all rings. Those
    // that have something to do get it now; it is owed to the others, too, if they wait for a ring that the
    // predecessor had emptied: whoever activates signals them later (Server::Greet).
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs; ++pair) {
      if (transmit_[pair].Pending() == 0 && receive_[pair].Drained()) continue;
      Signal(0);
      break;
    }
    return Violation::kNone;
  }

  void Deactivate() override {
    if (active_) observer_->OnLeaving(this);
    active_ = false;
    transmit_ = {};
    receive_ = {};
  }

  void Signal(uint32_t pair) override {
    if (connected() && pair < key_.geometry.queue_pairs) binders_[pair].port->Signal();
  }

  void ListenToSignals(bool on) override {
    if (!connected()) return;
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs; ++pair) {
      binders_[pair].port->SetHandler(on ? &binders_[pair] : nullptr);
    }
  }

  DeclaredMode declared_mode() const override {
    if (!connected()) return DeclaredMode::kServer;
    // Acquire: see GuestEnd::DeclareMode. What is no mode counts as the ordinary one.
    const uint32_t mode = HeaderOf(mapping_->bytes().data())->mode.load(std::memory_order_acquire);
    return mode == static_cast<uint32_t>(DeclaredMode::kDirect) ? DeclaredMode::kDirect
                                                                : DeclaredMode::kServer;
  }

  size_t DeclaredLeases(std::span<Lease> out) const override {
    return connected() ? ReadLeases(mapping_->bytes().data(), out) : 0;
  }

  void Close(Violation violation) override {
    if (phase_ == Phase::kClosed) return;
    Deactivate();
    CancelPending();
    for (Binder& binder : binders_) {
      if (binder.port) binder.port->SetHandler(nullptr);
    }
    phase_ = Phase::kClosed;
    violation_ = violation;
    PublishState(kStateClosed, violation == Violation::kNone ? "" : ToString(violation));
    observer_->OnRefused(this);
  }

 private:
  // kWaiting for keys; kFailed for other keys than those with which mapping, binding or activation failed;
  // kClosed for good.
  enum class Phase : uint8_t { kWaiting, kMapping, kBinding, kConnected, kFailed, kClosed };

  // XenbusState of Xen's public/io/xenbus.h.
  static constexpr std::string_view kStateKnown = "2", kStateConnected = "4", kStateClosed = "6";

  // One queue pair's doorbell: what the guest offers, and our end of it.
  struct Binder final : BindObserver, Handler {
    void OnBound(Result<EventPort*> bound) override { end->OnPort(*this, bound); }
    void OnEvent() override { end->observer_->OnChannelEvent(end); }
    ServerEndImpl* end = nullptr;
    uint32_t pair = 0;
    PortNumber offered = 0;  // 0: no such key.
    EventPort* port = nullptr;
  };

  // ---- Keys: in any order, changing, going, or nonsense ----
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    if (phase_ == Phase::kClosed) return;
    const std::string_view name = Below(path, frontend_.view());
    constexpr std::string_view kEvent = "event-";
    if (name == "ring") {
      std::optional<RingKey> key;
      if (present) {
        key = RingKey::Parse(value);
        if (!key) return Close(Violation::kBadHeader);
      }
      if (key.has_value() == has_ring_ && (!key || *key == ring_)) return;
      has_ring_ = key.has_value();
      ring_ = key.value_or(RingKey{});
    } else if (name.starts_with(kEvent)) {
      const auto pair = ParseNumber(name.substr(kEvent.size()));
      if (!pair || *pair >= kMaxQueuePairs) return Close(Violation::kBadHeader);
      PortNumber offered = 0;
      if (present) {
        offered = ParseNumber(value).value_or(0);
        if (offered == 0) return Close(Violation::kBadHeader);
      }
      if (binders_[*pair].offered == offered) return;
      binders_[*pair].offered = offered;
      if (has_ring_ && *pair >= ring_.geometry.queue_pairs) return;
    } else {
      return;
    }
    Restart();
  }

  // Something that the connection stands on has changed.
  void Restart() {
    const bool told = phase_ != Phase::kWaiting;  // A state that no longer holds was published.
    Disconnect();
    if (told) PublishState(kStateKnown, {});
    if (!has_ring_) return;
    for (uint32_t pair = 0; pair < ring_.geometry.queue_pairs; ++pair) {
      if (binders_[pair].offered == 0) return;
    }
    key_ = ring_;
    phase_ = Phase::kMapping;
    platform_.Map(guest_, key_.ref, key_.geometry.total_bytes(), /*writable=*/true, this);
  }

  void OnMapped(Result<Mapping*> mapping) override {
    if (phase_ != Phase::kMapping) {
      if (mapping.ok()) (*mapping)->Unmap();
      return;
    }
    if (!mapping.ok()) {
      // A region that is smaller than the guest says, or can shrink, is an attack; all else can come right.
      if (mapping.error() == Error::kProtocol) return Close(Violation::kBadHeader);
      return Fail("map", mapping.error());
    }
    mapping_ = *mapping;
    FAULT_POINT("server.mapped");
    phase_ = Phase::kBinding;
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs && phase_ == Phase::kBinding; ++pair) {
      platform_.Bind(guest_, binders_[pair].offered, &binders_[pair]);
    }
  }

  bool HeaderIsRight() const {
    if (mapping_->bytes().size() < key_.geometry.total_bytes()) return false;
    const Header* header = HeaderOf(mapping_->bytes().data());
    // Acquire: the magic is written last. From here on only the private copy in key_ is used.
    return header->magic.load(std::memory_order_acquire) == kMagic &&
           header->version.load(std::memory_order_relaxed) == key_.version &&
           header->queue_pairs.load(std::memory_order_relaxed) == key_.geometry.queue_pairs &&
           header->entries.load(std::memory_order_relaxed) == key_.geometry.entries &&
           header->slot_bytes.load(std::memory_order_relaxed) == key_.geometry.slot_bytes;
  }

  void OnPort(Binder& binder, Result<EventPort*> port) {
    if (phase_ != Phase::kBinding) {
      if (port.ok()) (*port)->Close();
      return;
    }
    if (!port.ok()) return Fail("bind", port.error());
    binder.port = *port;
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs; ++pair) {
      if (!binders_[pair].port) return;
    }
    FAULT_POINT("server.bound");
    phase_ = Phase::kConnected;
    if (!HeaderIsRight()) return Refuse(Violation::kBadHeader);
    for (uint32_t pair = 0; pair < key_.geometry.queue_pairs; ++pair) {
      binders_[pair].port->SetHandler(&binders_[pair]);
    }
    PublishState(kStateConnected, {});
    FAULT_POINT("server.connected");
    observer_->OnConnected(this);
  }

  // ---- Ends ----
  // The channel cannot be taken up. That may be a predecessor's doing: the guest is woken, sees it, and
  // offers other memory (GuestEnd::Renew).
  void Refuse(Violation violation) {
    Signal(0);
    Disconnect();
    phase_ = Phase::kFailed;
    PublishState(kStateClosed, ToString(violation));
    observer_->OnRefused(this);
  }

  void Fail(std::string_view what, Error error) {
    Disconnect();
    phase_ = Phase::kFailed;
    Text reason;
    PublishState(kStateClosed, reason.Add(what).Add(": ").Add(ToString(error)).view());
    observer_->OnRefused(this);
  }

  void CancelPending() {
    if (phase_ == Phase::kMapping) platform_.Cancel(static_cast<MapObserver*>(this));
    if (phase_ != Phase::kBinding) return;
    for (Binder& binder : binders_) {
      if (!binder.port) platform_.Cancel(static_cast<BindObserver*>(&binder));
    }
  }

  void Disconnect() {
    Deactivate();
    CancelPending();
    for (Binder& binder : binders_) {
      if (binder.port) binder.port->Close();
      binder.port = nullptr;
    }
    if (mapping_) mapping_->Unmap();
    mapping_ = nullptr;
    phase_ = Phase::kWaiting;
  }

  void PublishState(std::string_view state, std::string_view error) {
    // The reason first: who sees state 6 finds it. Refusals are logged and counted by the platform.
    if (error.empty()) {
      platform_.registry().Remove(error_path_.view());
    } else {
      (void)platform_.registry().Publish(error_path_.view(), error);
    }
    (void)platform_.registry().Publish(state_path_.view(), state);
  }

  Platform& platform_;
  const DomainId guest_;
  ServerEndObserver* const observer_;
  Text frontend_, state_path_, error_path_;
  bool watching_ = false;
  Phase phase_ = Phase::kWaiting;
  bool active_ = false;
  Violation violation_ = Violation::kNone;
  bool has_ring_ = false;
  RingKey ring_;  // As published now.
  RingKey key_;   // As connected (or being connected) to.
  Mapping* mapping_ = nullptr;
  std::array<Binder, kMaxQueuePairs> binders_;
  std::array<Consumer<>, kMaxQueuePairs> transmit_;
  std::array<Producer<>, kMaxQueuePairs> receive_;
};

}  // namespace

Result<ServerEnd*> ServerEnd::Create(Platform& platform, DomainId guest, std::string_view guest_base,
                                     ServerEndObserver* observer) {
  std::unique_ptr<ServerEndImpl> end(new (std::nothrow) ServerEndImpl(platform, guest, guest_base, observer));
  if (!end) return Error::kExhausted;
  const Status status = end->Start();
  if (!status.ok()) return status.error();
  return end.release();
}

}  // namespace librettos::channel
