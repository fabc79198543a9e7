#include "guest/platform/testing/fake_platform.h"

#include <gtest/gtest.h>

namespace librettos::fake {
namespace {

struct Keys : RegistryObserver {
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    ++calls;
    if (present) {
      state[std::string(path)] = value;
    } else {
      state.erase(std::string(path));
    }
  }
  int calls = 0;
  std::map<std::string, std::string> state;
};

struct Mapped : MapObserver {
  void OnMapped(Result<Mapping*> result) override { results.push_back(result); }
  std::vector<Result<Mapping*>> results;
};

struct Bound : BindObserver {
  void OnBound(Result<EventPort*> result) override { results.push_back(result); }
  std::vector<Result<EventPort*>> results;
};

struct Count : Handler {
  void OnEvent() override { ++calls; }
  int calls = 0;
};

struct Given : DeviceObserver {
  void OnDevice(const Device& device) override { names.push_back(device.name); }
  std::vector<std::string> names;
};

TEST(FakeWorld, WatchTellsTheStateAndThenTheChanges) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  world.Write("/local/domain/1/a/x", "1");
  world.Write("/local/domain/1/ab", "not below");
  Keys keys;
  ASSERT_TRUE(domain->registry().Watch("/local/domain/1/a", &keys).ok());
  world.RunUntilIdle();
  EXPECT_EQ(keys.state, (std::map<std::string, std::string>{{"/local/domain/1/a/x", "1"}}));
  world.Write("/local/domain/1/a/y", "2");
  world.Remove("/local/domain/1/a/x");
  world.RunUntilIdle();
  EXPECT_EQ(keys.state, (std::map<std::string, std::string>{{"/local/domain/1/a/y", "2"}}));
  domain->registry().Unwatch("/local/domain/1/a", &keys);
  world.Write("/local/domain/1/a/z", "3");
  world.RunUntilIdle();
  EXPECT_EQ(keys.calls, 3);
}

TEST(FakeWorld, PublishingElsewhereIsRefusedAndCounted) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  EXPECT_TRUE(domain->registry().Publish("/local/domain/2/a", "x").ok());
  EXPECT_TRUE(domain->registry().Publish("/local/domain/11/a", "x").ok());
  EXPECT_EQ(domain->registry().Publish("/local/domain/1/\n", "x"), Status(Error::kInvalidArgument));
  EXPECT_EQ(world.violations(), 3);
  EXPECT_TRUE(world.keys().empty());
}

TEST(FakeWorld, GrantsAreForOnePeerAndChecked) {
  FakeWorld world;
  FakePlatform* owner = world.AddDomain(1);
  FakePlatform* peer = world.AddDomain(2);
  FakePlatform* other = world.AddDomain(3);
  Region* region = *owner->Allocate(5000);
  ASSERT_EQ(region->bytes().size(), 8192u);
  const GrantRef ref = *region->GrantTo(2, false);
  Mapped good, wrong;
  peer->Map(1, ref, 8192, false, &good);
  peer->Map(1, ref, 8193, false, &good);
  peer->Map(1, ref, 8192, true, &good);
  other->Map(1, ref, 8192, false, &wrong);
  peer->Map(1, ref + 1, 8192, false, &good);
  world.RunUntilIdle();
  ASSERT_EQ(good.results.size(), 4u);
  ASSERT_TRUE(good.results[0].ok());
  EXPECT_EQ(good.results[1].error(), Error::kProtocol);
  EXPECT_EQ(good.results[2].error(), Error::kPermission);
  EXPECT_EQ(good.results[3].error(), Error::kNotFound);
  EXPECT_EQ(wrong.results[0].error(), Error::kPermission);
  region->bytes()[17] = std::byte{42};
  world.KillDomain(1);
  EXPECT_EQ((*good.results[0])->bytes()[17], std::byte{42});
  peer->Map(1, ref, 4096, false, &good);
  world.RunUntilIdle();
  EXPECT_EQ(good.results.back().error(), Error::kNotFound);
  (*good.results[0])->Unmap();
  EXPECT_EQ(peer->live_mappings(), 0u);
  region->Release();
  EXPECT_EQ(owner->live_regions(), 0u);
}

TEST(FakeWorld, SignalsCoalesceAndReachTheOtherEnd) {
  FakeWorld world;
  FakePlatform* a = world.AddDomain(1);
  FakePlatform* b = world.AddDomain(2);
  EventPort* offered = *a->Offer(2);
  Bound bound;
  b->Bind(1, offered->number(), &bound);
  a->Bind(1, offered->number(), &bound);
  world.RunUntilIdle();
  ASSERT_EQ(bound.results.size(), 2u);
  EXPECT_EQ(bound.results[0].error(), Error::kPermission);  // Domain 1 is turned first.
  ASSERT_TRUE(bound.results[1].ok());
  EventPort* port = *bound.results[1];
  Count at_a, at_b;
  offered->SetHandler(&at_a);
  port->SetHandler(&at_b);
  port->Signal();
  port->Signal();
  world.RunUntilIdle();
  EXPECT_EQ(at_a.calls, 1);
  EXPECT_EQ(at_b.calls, 0);
  offered->Signal();
  world.KillDomain(2);
  world.RunUntilIdle();
  EXPECT_EQ(at_b.calls, 0);
}

TEST(FakeWorld, CancelledRequestsAreNotAnswered) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  Mapped mapped;
  Bound bound;
  domain->Map(9, 1, 4096, false, &mapped);
  domain->Bind(9, 1, &bound);
  domain->Cancel(&mapped);
  domain->Cancel(&bound);
  world.RunUntilIdle();
  EXPECT_TRUE(mapped.results.empty());
  EXPECT_TRUE(bound.results.empty());
}

TEST(FakeWorld, DeadDaemonDelaysAllButSignals) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  Keys keys;
  ASSERT_TRUE(domain->registry().Watch("/local/domain/1", &keys).ok());
  world.Write("/local/domain/1/gone", "x");
  world.RunUntilIdle();
  world.SetDaemonAlive(false);
  world.Write("/local/domain/1/new", "y");
  world.Remove("/local/domain/1/gone");
  world.RunUntilIdle();
  EXPECT_EQ(keys.calls, 1);
  world.SetDaemonAlive(true);
  world.RunUntilIdle();
  EXPECT_EQ(keys.state, (std::map<std::string, std::string>{{"/local/domain/1/new", "y"}}));
}

TEST(FakeWorld, DevicesAreToldToALateObserverAndReturned) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  world.GiveDevice(1, Device{"nic0", DeviceKind::kTap, -1, {2, 0, 0, 0, 0, 1}, 1500});
  world.RunUntilIdle();
  Given given;
  domain->devices().SetObserver(&given);
  world.RunUntilIdle();
  EXPECT_EQ(given.names, std::vector<std::string>{"nic0"});
  EXPECT_TRUE(world.HoldsDevice(1, "nic0"));
  domain->devices().Return("nic0");
  EXPECT_FALSE(world.HoldsDevice(1, "nic0"));
  ASSERT_EQ(world.returned_devices().size(), 1u);
}

TEST(FakeWorld, ClockCanBeMovedByHand) {
  FreezeClock();
  const Nanoseconds before = Now();
  EXPECT_EQ(Now(), before);
  AdvanceClock(1000);
  EXPECT_EQ(Now(), before + 1000);
  ThawClock();
  EXPECT_GE(Now(), before + 1000);
}

TEST(FakeWorld, FilesAndShutdown) {
  FakeWorld world;
  FakePlatform* domain = world.AddDomain(1);
  domain->AddFile("a/b.txt", "hello");
  FileInfo info;
  Result<int> handle = domain->files().Open("a/b.txt", &info);
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(info.size, 5u);
  std::byte out[8];
  EXPECT_EQ(*domain->files().ReadAt(*handle, 3, out), 2u);
  EXPECT_EQ(*domain->files().ReadAt(*handle, 5, out), 0u);
  EXPECT_EQ(domain->files().Open("b.txt", &info).error(), Error::kNotFound);
  EXPECT_FALSE(domain->loop().stopping());
  world.Write("/local/domain/1/control/shutdown", "poweroff");
  EXPECT_TRUE(domain->loop().stopping());
}

}  // namespace
}  // namespace librettos::fake
