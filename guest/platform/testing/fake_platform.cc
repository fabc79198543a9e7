#include "guest/platform/testing/fake_platform.h"

#include <algorithm>

#include "guest/platform/testing/fake_world.h"

namespace librettos::fake {

class FakePlatform::FakeRegion final : public Region {
 public:
  FakeRegion(FakePlatform* platform, size_t bytes)
      : platform_(platform), memory_(std::make_shared<FakeWorld::Memory>(bytes)) {}
  std::span<std::byte> bytes() override { return {memory_->data, memory_->bytes}; }
  Result<GrantRef> GrantTo(DomainId peer, bool writable) override {
    const GrantRef ref = platform_->next_ref_++;
    platform_->world_->grants_[{platform_->id_, ref}] = {memory_, peer, writable};
    refs_.insert(ref);
    return ref;
  }
  void Revoke(GrantRef ref) override {
    if (refs_.erase(ref)) platform_->world_->grants_.erase({platform_->id_, ref});
  }
  void Release() override {
    while (!refs_.empty()) Revoke(*refs_.begin());
    platform_->regions_.erase(this);
    delete this;
  }
  ~FakeRegion() = default;

 private:
  FakePlatform* platform_;
  std::shared_ptr<FakeWorld::Memory> memory_;
  std::set<GrantRef> refs_;
};

class FakePlatform::FakeMapping final : public Mapping {
 public:
  FakeMapping(FakePlatform* platform, std::shared_ptr<FakeWorld::Memory> memory, size_t bytes)
      : platform_(platform), memory_(std::move(memory)), bytes_(bytes) {}
  std::span<std::byte> bytes() override { return {memory_->data, bytes_}; }
  void Unmap() override {
    platform_->mappings_.erase(this);
    delete this;
  }
  ~FakeMapping() = default;

 private:
  FakePlatform* platform_;
  std::shared_ptr<FakeWorld::Memory> memory_;
  size_t bytes_;
};

class FakePlatform::FakePort final : public EventPort {
 public:
  FakePort(FakePlatform* platform, std::shared_ptr<FakeWorld::Doorbell> doorbell, int side, PortNumber number)
      : platform_(platform), doorbell_(std::move(doorbell)), side_(side), number_(number) {}
  PortNumber number() const override { return number_; }
  void Signal() override { doorbell_->pending[1 - side_].store(true); }
  void SetHandler(Handler* handler) override { handler_ = handler; }
  void Close() override {
    if (side_ == 0) platform_->world_->offers_.erase({platform_->id_, number_});
    std::erase(platform_->ports_, this);
    delete this;
  }
  // Calls the handler if the other side signalled. `this` may be gone afterwards.
  bool Turn() {
    if (!handler_ || !doorbell_->pending[side_].exchange(false)) return false;
    ++platform_->events_delivered_;
    handler_->OnEvent();
    return true;
  }
  ~FakePort() = default;

 private:
  FakePlatform* platform_;
  std::shared_ptr<FakeWorld::Doorbell> doorbell_;
  int side_;
  PortNumber number_;
  Handler* handler_ = nullptr;
};

FakePlatform::FakePlatform(FakeWorld* world, DomainId id) : world_(world), id_(id) {}

FakePlatform::~FakePlatform() {
  for (FakePort* port : ports_) delete port;
  for (FakeMapping* mapping : mappings_) delete mapping;
  for (FakeRegion* region : regions_) delete region;
}

void FakePlatform::SetArguments(std::vector<std::string> arguments) {
  argument_texts_ = std::move(arguments);
  argument_views_.assign(argument_texts_.begin(), argument_texts_.end());
}

Result<Region*> FakePlatform::Allocate(size_t bytes) {
  if (bytes == 0) return Error::kInvalidArgument;
  if (out_of_memory_) return Error::kExhausted;
  auto* region = new FakeRegion(this, (bytes + kPageSize - 1) / kPageSize * kPageSize);
  regions_.insert(region);
  return static_cast<Region*>(region);
}

void FakePlatform::Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) {
  pending_maps_.push_back({owner, ref, bytes, writable, observer});
}

Result<EventPort*> FakePlatform::Offer(DomainId peer) {
  auto doorbell = std::make_shared<FakeWorld::Doorbell>();
  auto* port = new FakePort(this, doorbell, 0, next_port_++);
  world_->offers_[{id_, port->number()}] = {doorbell, peer};
  ports_.push_back(port);
  return static_cast<EventPort*>(port);
}

void FakePlatform::Bind(DomainId owner, PortNumber port, BindObserver* observer) {
  pending_binds_.push_back({owner, port, observer});
}

void FakePlatform::Cancel(MapObserver* observer) {
  std::erase_if(pending_maps_, [&](const PendingMap& request) { return request.observer == observer; });
}

void FakePlatform::Cancel(BindObserver* observer) {
  std::erase_if(pending_binds_, [&](const PendingBind& request) { return request.observer == observer; });
}

Result<Mapping*> FakePlatform::Carry(const PendingMap& request) {
  auto found = world_->grants_.find({request.owner, request.ref});
  if (found == world_->grants_.end()) return Error::kNotFound;
  const FakeWorld::Grant& grant = found->second;
  if (grant.peer != id_ || (request.writable && !grant.writable)) return Error::kPermission;
  if (request.bytes > grant.memory->bytes) return Error::kProtocol;
  auto* mapping = new FakeMapping(this, grant.memory, request.bytes);
  mappings_.insert(mapping);
  return static_cast<Mapping*>(mapping);
}

Result<EventPort*> FakePlatform::Carry(const PendingBind& request) {
  auto found = world_->offers_.find({request.owner, request.port});
  if (found == world_->offers_.end()) return Error::kNotFound;
  if (found->second.peer != id_) return Error::kPermission;
  auto* port = new FakePort(this, found->second.doorbell, 1, request.port);
  ports_.push_back(port);
  return static_cast<EventPort*>(port);
}

bool FakePlatform::Turn() {
  if (dead_) return false;
  bool any = TurnPorts();
  if (world_->daemon_alive_) {
    any |= TurnDevices();
    any |= TurnRequests();
    any |= TurnRegistry();
  }
  return any;
}

bool FakePlatform::TurnPorts() {
  bool any = false;
  const std::vector<FakePort*> round = ports_;
  for (FakePort* port : round) {
    // A handler may have closed it.
    if (std::find(ports_.begin(), ports_.end(), port) != ports_.end()) any |= port->Turn();
  }
  return any;
}

bool FakePlatform::TurnRequests() {
  bool any = false;
  for (size_t left = pending_maps_.size(); left > 0 && !pending_maps_.empty(); --left) {
    const PendingMap request = pending_maps_.front();
    pending_maps_.erase(pending_maps_.begin());
    request.observer->OnMapped(Carry(request));
    any = true;
  }
  for (size_t left = pending_binds_.size(); left > 0 && !pending_binds_.empty(); --left) {
    const PendingBind request = pending_binds_.front();
    pending_binds_.erase(pending_binds_.begin());
    request.observer->OnBound(Carry(request));
    any = true;
  }
  return any;
}

bool FakePlatform::TurnDevices() {
  if (!device_observer_ || untold_.empty()) return false;
  const Device device = untold_.front();
  untold_.erase(untold_.begin());
  device_observer_->OnDevice(device);
  return true;
}

void FakePlatform::Wait(Nanoseconds) { Turn(); }

bool FakePlatform::stopping() const {
  return stopping_ ||
         world_->Read("/local/domain/" + std::to_string(id_) + "/control/shutdown") == "poweroff";
}

void FakePlatform::SetObserver(DeviceObserver* observer) {
  device_observer_ = observer;
  untold_ = held_;
}

void FakePlatform::Return(std::string_view name) {
  auto same = [&](const Device& device) { return name == device.name; };
  if (std::erase_if(held_, same)) world_->returned_.emplace_back(id_, std::string(name));
  std::erase_if(untold_, same);
}

}  // namespace librettos::fake
