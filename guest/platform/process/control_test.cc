#include "guest/platform/process/control.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/platform/process/test_daemon.h"
#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

TEST(Control, KnowsItselfFromTheHelloAndDeclares) {
  Domain domain(7);
  EXPECT_EQ(domain.platform().self(), 7u);
  const auto messages = domain.Messages();
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages.back().type(), WireType::kDeclared);
  EXPECT_EQ(Only(domain.Messages(*domain.Connect()), WireType::kDeclared).size(), 1u);
}

TEST(Control, DeclaresEverythingToEachDaemon) {
  Domain domain(7);
  Keys keys;
  Mapped mapped;
  Bound bound;
  Region* region = *domain.platform().Allocate(4096);
  const GrantRef ref = *region->GrantTo(9, true);
  EventPort* port = *domain.platform().Offer(9);
  ASSERT_TRUE(domain.platform().registry().Publish("/local/domain/7/a", "x").ok());
  ASSERT_TRUE(domain.platform().registry().Watch("/local/domain/7/b", &keys).ok());
  domain.platform().Map(9, 1, 4096, false, &mapped);
  domain.platform().Bind(9, 1, &bound);
  auto check = [&](TestDaemon& daemon, bool declaration) {
    const auto messages = domain.Messages(daemon);
    size_t grants = 0, offers = 0, publishes = 0, watches = 0, maps = 0, binds = 0;
    for (const Packet& message : messages) {
      switch (message.type()) {
        case WireType::kGrant:
          ++grants;
          EXPECT_EQ(message.header.number, ref);
          EXPECT_EQ(message.header.a, 9u);
          EXPECT_EQ(message.header.b, 1u);
          EXPECT_EQ(message.descriptors.size(), 1u);
          break;
        case WireType::kOffer:
          ++offers;
          EXPECT_EQ(message.header.number, port->number());
          EXPECT_EQ(message.descriptors.size(), 2u);
          break;
        case WireType::kPublish:
          ++publishes;
          EXPECT_EQ(message.path, "/local/domain/7/a");
          EXPECT_EQ(message.value, "x");
          break;
        case WireType::kWatch:
          watches += message.path == "/local/domain/7/b";
          break;
        case WireType::kMap:
          ++maps;
          break;
        case WireType::kBind:
          ++binds;
          break;
        default:
          break;
      }
    }
    EXPECT_EQ(grants, 1u);
    EXPECT_EQ(offers, 1u);
    EXPECT_EQ(publishes, 1u);
    EXPECT_EQ(watches, 1u);
    EXPECT_EQ(maps, 1u);
    EXPECT_EQ(binds, 1u);
    if (declaration) {
      ASSERT_FALSE(messages.empty());
      EXPECT_EQ(messages.back().type(), WireType::kDeclared);
    }
  };
  check(*domain.daemon, false);
  auto second = domain.Connect();
  EXPECT_TRUE(domain.daemon->Closed());  // Replaced.
  check(*second, true);
  second->Close();
  domain.Turn();
  EXPECT_FALSE(domain.platform().control().connected());
  auto third = domain.Connect();
  check(*third, true);
}

TEST(Control, WhatHappensWithoutADaemonIsDeclaredLater) {
  Domain domain(7);
  ASSERT_TRUE(domain.platform().registry().Publish("/local/domain/7/old", "1").ok());
  Region* kept = *domain.platform().Allocate(4096);
  Region* released = *domain.platform().Allocate(4096);
  ASSERT_TRUE(released->GrantTo(9, true).ok());
  domain.daemon->Close();
  domain.Turn();
  domain.platform().registry().Remove("/local/domain/7/old");
  ASSERT_TRUE(domain.platform().registry().Publish("/local/domain/7/new", "2").ok());
  const GrantRef ref = *kept->GrantTo(9, true);
  released->Release();
  auto next = domain.Connect();
  auto messages = domain.Messages(*next);
  std::vector<std::string> removed, published;
  std::vector<uint32_t> granted;
  for (const Packet& message : messages) {
    if (message.type() == WireType::kRemove) removed.push_back(message.path);
    if (message.type() == WireType::kPublish) published.push_back(message.path);
    if (message.type() == WireType::kGrant) granted.push_back(message.header.number);
  }
  EXPECT_EQ(removed, std::vector<std::string>{"/local/domain/7/old"});
  EXPECT_EQ(published, std::vector<std::string>{"/local/domain/7/new"});
  EXPECT_EQ(granted, std::vector<uint32_t>{ref});
}

struct Malformed {
  const char* what;
  std::string packet;
  int descriptors = 0;
};

std::string Raw(WireType type, uint16_t path_bytes, uint32_t value_bytes, const std::string& rest,
                uint32_t a = 1, uint32_t number = 0) {
  WireHeader header{};
  header.type = static_cast<uint16_t>(type);
  header.path_bytes = path_bytes;
  header.value_bytes = value_bytes;
  header.a = a;
  header.number = number;
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + rest;
}

TEST(Control, MalformedPacketsEndThatConnectionOnly) {
  const std::string good = Raw(WireType::kKey, 2, 1, "/ax");
  const Malformed cases[] = {
      {"shorter than a header", std::string(sizeof(WireHeader) - 1, 'x')},
      {"less text than said", Raw(WireType::kKey, 3, 1, "/ax")},
      {"more text than said", Raw(WireType::kKey, 1, 1, "/ax")},
      {"lengths that overflow", Raw(WireType::kKey, 2, 0xffffffffu, "/a")},
      {"path too long", Raw(WireType::kKey, 256, 0, "/" + std::string(255, 'a'))},
      {"packet too long", Raw(WireType::kKey, 2, 1025, "/a" + std::string(4000, 'a'))},
      {"unknown type", Raw(static_cast<WireType>(999), 0, 0, "")},
      {"a type that domains send", Raw(WireType::kPublish, 2, 1, "/ax")},
      {"a second hello", Raw(WireType::kHello, 0, 0, "", kWireVersion, 7)},
      {"a path with a bad character", Raw(WireType::kKey, 2, 1, "/\nx")},
      {"presence that is neither", Raw(WireType::kKey, 2, 1, "/ax", 2)},
      {"too many descriptors", good, 3},
      {"a device without descriptor", Raw(WireType::kDevice, 1, 6, "n123456")},
  };
  Domain domain(7);
  auto daemon = std::move(domain.daemon);
  uint64_t violations = 0;
  for (const Malformed& each : cases) {
    SCOPED_TRACE(each.what);
    ASSERT_TRUE(daemon->SendRaw(good.data(), good.size()));
    domain.Turn();
    ASSERT_FALSE(daemon->Closed());
    ASSERT_TRUE(daemon->SendRaw(each.packet.data(), each.packet.size(),
                                std::vector<int>(static_cast<size_t>(each.descriptors), 0)));
    domain.Turn();
    EXPECT_TRUE(daemon->Closed());
    EXPECT_EQ(domain.platform().control().violations(), ++violations);
    daemon = domain.Connect();
    EXPECT_TRUE(domain.platform().control().connected());
  }
}

TEST(Control, HelloIsCheckedAndMustComeFirst) {
  ListeningSocket socket;
  ProcessPlatform platform(socket.Take(), "/nonexistent", {});
  auto turn = [&] {
    for (int i = 0; i < 8; ++i) platform.loop().Wait(Now() + 1000);
  };
  auto refused = [&](auto say) {
    TestDaemon daemon(socket.Connect());
    say(daemon);
    turn();
    return daemon.Closed() && platform.self() == 0;
  };
  EXPECT_TRUE(refused([](TestDaemon& daemon) { daemon.Key("/a", "x"); }));
  EXPECT_TRUE(refused([](TestDaemon& daemon) { daemon.Hello(7, kWireVersion + 1); }));
  EXPECT_TRUE(refused([](TestDaemon& daemon) { daemon.Hello(0); }));
  TestDaemon right(socket.Connect());
  right.Hello(7);
  turn();
  EXPECT_EQ(platform.self(), 7u);
  TestDaemon other(socket.Connect());
  other.Hello(8);
  turn();
  EXPECT_TRUE(other.Closed());
  EXPECT_EQ(platform.self(), 7u);
}

TEST(Control, SlowDaemonGetsAllInOrderOnceItReads) {
  Domain domain(7);
  domain.Messages();
  Region* region = *domain.platform().Allocate(4096);
  constexpr int kKeys = 2000;
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(domain.platform()
                    .registry()
                    .Publish("/local/domain/7/" + std::to_string(i), std::string(500, 'v'))
                    .ok());
  }
  ASSERT_TRUE(region->GrantTo(9, true).ok());
  region->Release();  // The queued message keeps its descriptor.
  std::vector<Packet> all;
  for (int idle = 0; idle < 3;) {
    auto some = domain.Messages();
    idle = some.empty() ? idle + 1 : 0;
    for (Packet& packet : some) all.push_back(std::move(packet));
  }
  ASSERT_EQ(all.size(), kKeys + 2u);
  for (int i = 0; i < kKeys; ++i) ASSERT_EQ(all[i].path, "/local/domain/7/" + std::to_string(i));
  EXPECT_EQ(all[kKeys].type(), WireType::kGrant);
  ASSERT_EQ(all[kKeys].descriptors.size(), 1u);
  EXPECT_GE(fcntl(all[kKeys].descriptors[0].get(), F_GET_SEALS), 0);
  EXPECT_EQ(all[kKeys + 1].type(), WireType::kRevoke);
}

// All that a peer gets of a region is its descriptor.
TEST(Control, APeerCanTakeNothingOfARegionAway) {
  for (const bool writable : {true, false}) {
    Domain domain(7);
    Region* region = *domain.platform().Allocate(8192);
    ASSERT_TRUE(region->GrantTo(9, writable).ok());
    auto grants = Only(domain.Messages(), WireType::kGrant);
    ASSERT_EQ(grants.size(), 1u);
    const int memory = grants[0].descriptors.at(0).get();
    EXPECT_NE(ftruncate(memory, 4096), 0);
    EXPECT_NE(ftruncate(memory, 0), 0);
    EXPECT_NE(ftruncate(memory, 16384), 0);
    for (const int seal : {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL}) {
      EXPECT_NE(fcntl(memory, F_ADD_SEALS, seal), 0) << "it could stop the owner from granting it again";
    }
    void* mapped = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    EXPECT_EQ(mapped != MAP_FAILED, writable);
    if (mapped != MAP_FAILED) munmap(mapped, 8192);
    region->bytes()[8191] = std::byte{1};
    EXPECT_TRUE(region->GrantTo(10, writable).ok());
  }
}

TEST(Control, DaemonThatNeverReadsIsGivenUp) {
  Domain domain(7);
  auto& registry = domain.platform().registry();
  for (size_t i = 0; domain.platform().control().connected() && i < 3 * Control::kMaxQueued; ++i) {
    ASSERT_TRUE(registry.Publish("/local/domain/7/a", std::to_string(i) + std::string(500, 'v')).ok());
  }
  EXPECT_FALSE(domain.platform().control().connected());
  ASSERT_TRUE(registry.Publish("/local/domain/7/a", "last").ok());
  auto next = domain.Connect();
  const auto published = Only(domain.Messages(*next), WireType::kPublish);
  ASSERT_EQ(published.size(), 1u);
  EXPECT_EQ(published[0].value, "last");
}

TEST(Control, ShutdownKeyStopsTheLoop) {
  Domain domain(7);
  EXPECT_FALSE(domain.platform().loop().stopping());
  domain.daemon->Key("/local/domain/7/control/shutdown", "reboot");
  domain.Turn();
  EXPECT_FALSE(domain.platform().loop().stopping());
  domain.daemon->Key("/local/domain/7/control/shutdown", "poweroff");
  domain.Turn();
  EXPECT_TRUE(domain.platform().loop().stopping());
}

}  // namespace
}  // namespace librettos::process
