// A guest and its servers over the fake platform, for tests of both ends of a channel.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "guest/channel/guest_end.h"
#include "guest/channel/ring_memory.h"
#include "guest/channel/server_end.h"
#include "guest/channel/view.h"
#include "guest/platform/testing/fake_platform.h"

namespace librettos::channel {

inline constexpr DomainId kGuest = 7;
inline constexpr Geometry kGeometry = {2, 64, 2048};
inline const std::string kBase = "/local/domain/7/device/vif/0";

struct GuestObserver : GuestEndObserver {
  void OnChannelEvent() override { ++events; }
  void OnServerChanged(DomainId server, uint32_t epoch) override { servers.push_back({server, epoch}); }
  int events = 0;
  std::vector<std::pair<DomainId, uint32_t>> servers;
};

struct Server : ServerEndObserver {
  Server(fake::FakeWorld& world, DomainId id)
      : id(id), world(world), platform(world.domain(id) ? world.domain(id) : world.AddDomain(id)) {
    auto created = ServerEnd::Create(*platform, kGuest, kBase, this);
    EXPECT_TRUE(created.ok());
    end.reset(*created);
  }
  void OnConnected(ServerEnd*) override { ++connections; }
  void OnChannelEvent(ServerEnd*) override { ++events; }
  std::string Path(const std::string& name) const {
    return "/local/domain/" + std::to_string(id) + "/backend/vif/7/0/" + name;
  }
  std::string state() const { return world.Read(Path("state")).value_or("-"); }
  std::string error() const { return world.Read(Path("error")).value_or("-"); }

  const DomainId id;
  fake::FakeWorld& world;
  fake::FakePlatform* const platform;
  int connections = 0;
  int events = 0;
  std::unique_ptr<ServerEnd> end;
};

// A dead domain runs no destructors: its objects stay as they are (and reachable, for the leak checker).
template <class T>
void DieWithoutDestructors(std::unique_ptr<T>& object) {
  static auto& dead = *new std::vector<T*>();
  dead.push_back(object.release());
}

inline std::string Frontend(DomainId server) { return kBase + "/frontend/" + std::to_string(server); }
inline void Name(fake::FakeWorld& world, DomainId server) {
  world.Write(kBase + "/backend/" + std::to_string(server), "1");
}
inline void Forget(fake::FakeWorld& world, DomainId server) {
  world.Remove(kBase + "/backend/" + std::to_string(server));
}

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() : platform_(world_.AddDomain(kGuest)) {}
  ~ChannelTest() override { EXPECT_EQ(world_.violations(), 0); }

  void CreateGuest(const Geometry& geometry = kGeometry) {
    auto created = GuestEnd::Create(*platform_, kBase, geometry, &observer_);
    ASSERT_TRUE(created.ok());
    guest_.reset(*created);
  }
  // A guest and an active server.
  std::unique_ptr<Server> Connected(DomainId id = 2, uint32_t epoch = 5) {
    if (!guest_) CreateGuest();
    auto server = std::make_unique<Server>(world_, id);
    Name(world_, id);
    world_.RunUntilIdle();
    EXPECT_TRUE(server->end->connected());
    EXPECT_EQ(server->end->Activate(epoch), Violation::kNone);
    server->end->Signal(0);
    world_.RunUntilIdle();
    return server;
  }
  void GuestSends(uint32_t seed, uint32_t length, uint32_t pair = 0) {
    ASSERT_TRUE(PutBytes(guest_->transmit(pair), Pattern(seed, length)).ok());
    if (guest_->transmit(pair).Publish()) guest_->Signal(pair);
  }
  // Takes one frame, as a server that has handed it on, or has not yet.
  void ServerTakes(Server& server, uint32_t seed, uint32_t length, bool commit = true, uint32_t pair = 0) {
    ASSERT_TRUE(server.end->transmit(pair).Peek(received_)) << "frame " << seed;
    EXPECT_EQ(BytesOf(received_), Pattern(seed, length)) << "frame " << seed;
    if (commit && server.end->transmit(pair).Commit(received_.entries)) server.end->Signal(pair);
  }

  fake::FakeWorld world_;
  fake::FakePlatform* platform_;
  GuestObserver observer_;
  std::unique_ptr<GuestEnd> guest_;
  Received received_;
};

// A mapping of the guest's memory, as a hostile server or a hostile guest has it.
struct Intruder : MapObserver {
  Intruder(fake::FakeWorld& world, DomainId as, const Geometry& geometry = kGeometry) {
    const GrantRef ref = static_cast<GrantRef>(std::stoul(*world.Read(Frontend(as) + "/ring")));
    platform = world.domain(as);
    platform->Map(kGuest, ref, geometry.total_bytes(), true, this);
    world.RunUntilIdle();
  }
  ~Intruder() { mapping->Unmap(); }
  void OnMapped(Result<Mapping*> result) override {
    ASSERT_TRUE(result.ok());
    mapping = *result;
    memory = mapping->bytes().data();
  }
  Header& header() { return *HeaderOf(memory); }
  fake::FakePlatform* platform;
  Mapping* mapping = nullptr;
  std::byte* memory = nullptr;
};

}  // namespace librettos::channel
