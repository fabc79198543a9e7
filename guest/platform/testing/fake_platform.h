// An in-process world of several domains for unit tests: one registry, shared memory, doorbells and devices.
//
// Single-threaded (only what cpus.h allows may come from other threads). Nothing is delivered from within a
// call of the domain: observers and handlers are called by FakeWorld::RunUntilIdle or FakePlatform's
// Loop::Wait, which never sleeps. The rules of the real thing hold: a Map by the wrong peer or too large is
// refused, a domain that publishes outside its subtree is refused and counted.
//
//   fake::FakeWorld world;
//   FakePlatform* guest = world.AddDomain(1);
//   FakePlatform* server = world.AddDomain(2);
//   world.Write("/local/domain/1/device/vif/0/backend/2", "1");
//   world.RunUntilIdle();
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/platform/platform.h"
#include "guest/platform/testing/fake_cpus.h"

namespace librettos::fake {

// Time. Now() is the real monotonic clock until it is frozen; AdvanceClock moves it forward in either case.
void FreezeClock();
void ThawClock();
void AdvanceClock(Nanoseconds by);

class FakePlatform;

class FakeWorld {
 public:
  FakeWorld();
  ~FakeWorld();
  FakeWorld(const FakeWorld&) = delete;

  // The platform belongs to the world and lives as long, also after KillDomain.
  FakePlatform* AddDomain(DomainId id);
  FakePlatform* domain(DomainId id);
  // The domain gets no call any more, its keys, grants and ports are gone. What others mapped of it stays
  // mapped.
  void KillDomain(DomainId id);

  // The registry, as the control domain.
  void Write(const std::string& path, const std::string& value);
  std::optional<std::string> Read(const std::string& path) const;
  void Remove(const std::string& path);  // With everything below it.
  const std::map<std::string, std::string>& keys() const { return keys_; }

  void GiveDevice(DomainId id, const Device& device);
  bool HoldsDevice(DomainId id, std::string_view name) const;
  // Devices given back, in order.
  const std::vector<std::pair<DomainId, std::string>>& returned_devices() const { return returned_; }

  // While the daemon is dead nothing of registry, mapping, binding or devices is delivered; signals are.
  void SetDaemonAlive(bool alive);

  // Makes one round over all domains; true if anything was called.
  bool RunOnce();
  // Turns all domains until nothing is left to deliver. Aborts with a message after `max_rounds` (a
  // livelock).
  void RunUntilIdle(int max_rounds = 100000);

  // Broken rules of the platform: publishing in another domain's subtree, malformed paths or values.
  int violations() const { return violations_; }

 private:
  friend class FakePlatform;
  struct Memory;
  struct Grant {
    std::shared_ptr<Memory> memory;
    DomainId peer;
    bool writable;
  };
  struct Doorbell;
  struct Offer {
    std::shared_ptr<Doorbell> doorbell;
    DomainId peer;
  };
  void Changed(const std::string& path);

  std::map<std::string, std::string> keys_;
  std::map<DomainId, std::unique_ptr<FakePlatform>> domains_;
  std::map<std::pair<DomainId, GrantRef>, Grant> grants_;
  std::map<std::pair<DomainId, PortNumber>, Offer> offers_;
  std::vector<std::pair<DomainId, std::string>> returned_;
  bool daemon_alive_ = true;
  int violations_ = 0;
};

class FakePlatform final : public Platform, private Loop, private Registry, private Devices, private Files {
 public:
  FakePlatform(FakeWorld* world, DomainId id);
  ~FakePlatform();

  void SetArguments(std::vector<std::string> arguments);
  void AddFile(const std::string& path, const std::string& content);
  void SetStopping(bool stopping) { stopping_ = stopping; }
  // Allocate fails with kExhausted while set.
  void SetOutOfMemory(bool out) { out_of_memory_ = out; }
  // Further CPUs are threads. Before the domain runs.
  void SetCpus(unsigned count) { cpus_ = std::make_unique<FakeCpus>(count); }
  // Calls what is ready, once each; true if anything was.
  bool Turn();
  // How often handlers were called because the peer signalled.
  uint64_t events_delivered() const { return events_delivered_; }
  size_t live_mappings() const { return mappings_.size(); }
  size_t live_ports() const { return ports_.size(); }
  size_t live_regions() const { return regions_.size(); }

  DomainId self() const override { return id_; }
  std::span<const std::string_view> arguments() const override { return argument_views_; }
  Loop& loop() override { return *this; }
  Registry& registry() override { return *this; }
  Devices& devices() override { return *this; }
  Files& files() override { return *this; }
  Result<Region*> Allocate(size_t bytes) override;
  void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) override;
  Result<EventPort*> Offer(DomainId peer) override;
  void Bind(DomainId owner, PortNumber port, BindObserver* observer) override;
  void Cancel(MapObserver* observer) override;
  void Cancel(BindObserver* observer) override;
  Cpus& cpus() override { return *cpus_; }

 private:
  friend class FakeWorld;
  class FakeRegion;
  class FakeMapping;
  class FakePort;
  struct WatchState {
    std::string path;
    RegistryObserver* observer;
    std::set<std::string> dirty;
    std::set<std::string> known;
  };
  struct PendingMap {
    DomainId owner;
    GrantRef ref;
    size_t bytes;
    bool writable;
    MapObserver* observer;
  };
  struct PendingBind {
    DomainId owner;
    PortNumber port;
    BindObserver* observer;
  };

  void Wait(Nanoseconds deadline) override;
  void Sleep(Nanoseconds) override {}
  bool stopping() const override;
  Status Publish(std::string_view path, std::string_view value) override;
  void Remove(std::string_view path) override;
  Status Watch(std::string_view path, RegistryObserver* observer) override;
  void Unwatch(std::string_view path, RegistryObserver* observer) override;
  void SetObserver(DeviceObserver* observer) override;
  void Return(std::string_view name) override;
  Result<int> Open(std::string_view path, FileInfo* info) override;
  Result<size_t> ReadAt(int handle, uint64_t offset, std::span<std::byte> out) override;
  void Close(int handle) override;
  Status List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
              void* context) override;

  bool Owns(std::string_view path) const;
  bool TurnPorts();
  bool TurnRegistry();
  bool TurnRequests();
  bool TurnDevices();
  Result<Mapping*> Carry(const PendingMap& request);
  Result<EventPort*> Carry(const PendingBind& request);

  FakeWorld* const world_;
  const DomainId id_;
  bool dead_ = false;
  bool stopping_ = false;
  bool out_of_memory_ = false;
  uint64_t events_delivered_ = 0;
  GrantRef next_ref_ = 1;
  PortNumber next_port_ = 1;
  std::vector<std::string> argument_texts_;
  std::vector<std::string_view> argument_views_;
  std::map<std::string, std::string> files_;
  std::map<int, std::string> open_files_;
  std::set<FakeRegion*> regions_;
  std::set<FakeMapping*> mappings_;
  std::vector<FakePort*> ports_;
  std::vector<std::unique_ptr<WatchState>> watches_;
  std::vector<PendingMap> pending_maps_;
  std::vector<PendingBind> pending_binds_;
  std::vector<Device> held_;
  std::vector<Device> untold_;
  DeviceObserver* device_observer_ = nullptr;
  std::unique_ptr<FakeCpus> cpus_ = std::make_unique<FakeCpus>(1);
};

}  // namespace librettos::fake
