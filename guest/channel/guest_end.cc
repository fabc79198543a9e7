#include "guest/channel/guest_end.h"

#include <algorithm>
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

// Servers that a guest can be connected to at once: the active one, a standby, an upgrade's successor, and
// those that the daemon has not yet forgotten.
constexpr size_t kMaxServers = 16;

struct Connection {
  DomainId server = 0;  // 0: free.
  GrantRef grant = 0;
  std::array<EventPort*, kMaxQueuePairs> ports = {};
};

class GuestEndImpl final : public GuestEnd, private RegistryObserver, private Handler {
 public:
  GuestEndImpl(Platform& platform, std::string_view base, const Geometry& geometry,
               GuestEndObserver* observer)
      : platform_(platform), geometry_(geometry), observer_(observer) {
    base_.Add(base);
    backend_.Add(base).Add("/backend");
  }

  ~GuestEndImpl() override {
    if (watching_) platform_.registry().Unwatch(backend_.view(), this);
    for (Connection& connection : connections_) {
      if (connection.server) Disconnect(connection);
    }
    if (region_) region_->Release();
  }

  Status Start() {
    if (!geometry_.valid() || backend_.full()) return Error::kInvalidArgument;
    Status status = Allocate();
    if (!status.ok()) return status;
    // From here on keys can be told, and servers connected.
    watching_ = true;
    return platform_.registry().Watch(backend_.view(), this);
  }

  const Geometry& geometry() const override { return geometry_; }
  Producer<>& transmit(uint32_t pair) override { return transmit_[pair]; }
  Consumer<>& receive(uint32_t pair) override { return receive_[pair]; }
  DomainId active_server() const override { return active_ ? active_->server : 0; }
  uint32_t server_epoch() const override { return epoch_; }

  bool Intact() const override {
    const Header* header = HeaderOf(memory_);
    // Relaxed: see LeaseTable::Intact.
    return leases_intact_ && header->magic.load(std::memory_order_relaxed) == kMagic &&
           header->version.load(std::memory_order_relaxed) == kVersion &&
           header->queue_pairs.load(std::memory_order_relaxed) == geometry_.queue_pairs &&
           header->entries.load(std::memory_order_relaxed) == geometry_.entries &&
           header->slot_bytes.load(std::memory_order_relaxed) == geometry_.slot_bytes &&
           header->mode.load(std::memory_order_relaxed) == static_cast<uint32_t>(mode_);
  }

  Status Renew() override {
    const Nanoseconds now = Now();
    if (now < renew_at_ && !forgotten_) return Error::kAgain;
    renew_at_ = now + renew_period_;
    Region* const old = region_;
    Status status = Allocate();
    if (!status.ok()) return status;
    if (!forgotten_) renew_period_ = std::min(2 * renew_period_, kMaxRenewPeriod);
    forgotten_ = false;
    active_ = nullptr;
    announced_server_ = 0;
    for (Connection& connection : connections_) {
      if (connection.server == 0) continue;
      connection.grant = 0;  // Revoked with the old region, below.
      status = OfferMemory(connection);
      if (!status.ok()) Drop(connection, status);
    }
    old->Release();
    return {};
  }

  void Signal(uint32_t pair) override {
    if (pair >= geometry_.queue_pairs) return;
    // Relaxed: a hint which doorbell to ring; what is signalled was ordered by Publish and Commit. While it
    // is the one we follow there is nothing more to look at.
    const DomainId server = HeaderOf(memory_)->server.load(std::memory_order_relaxed);
    if (!active_ || active_->server != server) FindServer();
    if (active_) {
      active_->ports[pair]->Signal();
      return;
    }
    for (Connection& connection : connections_) {
      if (connection.server) connection.ports[pair]->Signal();
    }
  }

  void DeclareMode(DeclaredMode mode) override {
    mode_ = mode;
    // Release: frames sent before the change are seen by a server that sees the new mode.
    HeaderOf(memory_)->mode.store(static_cast<uint32_t>(mode), std::memory_order_release);
  }
  Status DeclareLease(uint8_t protocol, uint16_t port, uint64_t sequence, uint64_t token) override {
    return leases_.Declare(protocol, port, sequence, token);
  }
  void WithdrawLease(uint8_t protocol, uint16_t port) override { leases_.Withdraw(protocol, port); }

 private:
  // Takes new memory; on failure the old one stays.
  Status Allocate() {
    Result<Region*> region = platform_.Allocate(geometry_.total_bytes());
    if (!region.ok()) return region.error();
    region_ = *region;
    memory_ = region_->bytes().data();
    leases_.Attach(memory_);
    leases_intact_ = true;
    for (uint32_t pair = 0; pair < geometry_.queue_pairs; ++pair) {
      // Zeroed memory of our own and a valid geometry: there is nothing that could be wrong.
      (void)transmit_[pair].Attach(ViewOf(memory_, geometry_, pair, false));
      (void)receive_[pair].Attach(ViewOf(memory_, geometry_, pair, true));
    }
    Header* header = HeaderOf(memory_);
    header->version.store(kVersion, std::memory_order_relaxed);
    header->queue_pairs.store(geometry_.queue_pairs, std::memory_order_relaxed);
    header->entries.store(geometry_.entries, std::memory_order_relaxed);
    header->slot_bytes.store(geometry_.slot_bytes, std::memory_order_relaxed);
    header->mode.store(static_cast<uint32_t>(mode_), std::memory_order_relaxed);
    // Release: whoever sees the magic sees the words above.
    header->magic.store(kMagic, std::memory_order_release);
    return {};
  }

  // ---- Connections ----
  void OnKey(std::string_view path, std::string_view, bool present) override {
    const std::optional<uint32_t> server = ParseNumber(Below(path, backend_.view()));
    if (!server || *server == 0) return;
    Connection* connection = Find(*server);
    if (present && !connection) Connect(*server);
    if (present || !connection) return;
    Disconnect(*connection);
    forgotten_ = true;
  }

  Connection* Find(DomainId server) {
    for (Connection& connection : connections_) {
      if (connection.server == server) return &connection;
    }
    return nullptr;
  }

  Text Frontend(DomainId server) const {
    Text path;
    return path.Add(base_.view()).Add("/frontend/").Add(server);
  }

  void Connect(DomainId server) {
    Connection* connection = Find(0);
    if (!connection) {
      Log("channel: server not connected: too many servers at once; forget those that are gone");
      return;
    }
    connection->server = server;
    const Status status = Offer(*connection);
    if (!status.ok()) Drop(*connection, status);
  }

  void Drop(Connection& connection, Status why) {
    Text line;
    line.Add("channel: server ").Add(connection.server).Add(" not connected: ").Add(ToString(why.error()));
    Log(line.view());
    Disconnect(connection);
  }

  Status Offer(Connection& connection) {
    const Text frontend = Frontend(connection.server);
    for (uint32_t pair = 0; pair < geometry_.queue_pairs; ++pair) {
      Result<EventPort*> port = platform_.Offer(connection.server);
      if (!port.ok()) return port.error();
      connection.ports[pair] = *port;
      (*port)->SetHandler(this);
      Text path = frontend, value;
      path.Add("/event-").Add(pair);
      value.Add((*port)->number());
      const Status status = platform_.registry().Publish(path.view(), value.view());
      if (!status.ok()) return status;
    }
    FAULT_POINT("guest.offered");
    return OfferMemory(connection);
  }

  Status OfferMemory(Connection& connection) {
    Result<GrantRef> grant = region_->GrantTo(connection.server, /*writable=*/true);
    if (!grant.ok()) return grant.error();
    connection.grant = *grant;
    FAULT_POINT("guest.granted");
    Text path = Frontend(connection.server);
    path.Add("/ring");
    return platform_.registry().Publish(path.view(), RingKey{*grant, kVersion, geometry_}.Format().view());
  }

  void Disconnect(Connection& connection) {
    platform_.registry().Remove(Frontend(connection.server).view());
    if (connection.grant) region_->Revoke(connection.grant);
    for (EventPort* port : connection.ports) {
      if (port) port->Close();
    }
    if (active_ == &connection) active_ = nullptr;
    connection = Connection();
  }

  // ---- The active server ----
  // Takes the active server and its epoch from the header. All servers can write there: it is believed only
  // of a server that is connected, and decides nothing but whose doorbell is rung and who is told upwards.
  void FindServer() {
    const Header* header = HeaderOf(memory_);
    // Acquire: the epoch is at least that of the server seen; a server that takes over clears `server` before
    // it writes the epoch (ServerEnd::Activate), so an unchanged second look means that the two belong
    // together.
    const DomainId server = header->server.load(std::memory_order_acquire);
    const uint32_t epoch = header->server_epoch.load(std::memory_order_acquire);
    const bool whole = header->server.load(std::memory_order_relaxed) == server;
    active_ = server != 0 && whole ? Find(server) : nullptr;
    if (active_) epoch_ = epoch;
  }

  void OnEvent() override {
    FindServer();
    if (active_ && (announced_server_ != active_->server || announced_epoch_ != epoch_)) {
      announced_server_ = active_->server;
      announced_epoch_ = epoch_;
      leases_intact_ = leases_.Intact();
      observer_->OnServerChanged(announced_server_, announced_epoch_);
    }
    observer_->OnChannelEvent();
  }

  Platform& platform_;
  const Geometry geometry_;
  GuestEndObserver* const observer_;
  Text base_, backend_;
  bool watching_ = false;
  Region* region_ = nullptr;
  std::byte* memory_ = nullptr;
  std::array<Producer<>, kMaxQueuePairs> transmit_;
  std::array<Consumer<>, kMaxQueuePairs> receive_;
  LeaseTable leases_;
  bool leases_intact_ = true;
  std::array<Connection, kMaxServers> connections_ = {};
  Connection* active_ = nullptr;  // One of connections_.
  uint32_t epoch_ = 0;
  DomainId announced_server_ = 0;
  uint32_t announced_epoch_ = 0;
  DeclaredMode mode_ = DeclaredMode::kServer;
  Nanoseconds renew_at_ = 0;  // Not before.
  Nanoseconds renew_period_ = kRenewPeriod;
  bool forgotten_ = false;  // A server, since the last renewal.
};

}  // namespace

Result<GuestEnd*> GuestEnd::Create(Platform& platform, std::string_view base, const Geometry& geometry,
                                   GuestEndObserver* observer) {
  std::unique_ptr<GuestEndImpl> end(new (std::nothrow) GuestEndImpl(platform, base, geometry, observer));
  if (!end) return Error::kExhausted;
  const Status status = end->Start();
  if (!status.ok()) return status.error();
  return end.release();
}

}  // namespace librettos::channel
