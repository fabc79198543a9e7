#include "guest/platform/xen/xen_registry.h"

#include <gtest/gtest.h>

#include "guest/platform/process/test_observers.h"
#include "guest/platform/xen/testing/fake_xenstored.h"

namespace librettos::xen {
namespace {

using process::Keys;
using State = std::map<std::string, std::string>;

struct Work : Handler {
  void OnEvent() override { ++calls; }
  int calls = 0;
};

struct XenRegistryTest : testing::Test {
  void Run() {
    for (int i = 0; i < 100000 && (registry.Turn() | store.Serve()); ++i) {
    }
    EXPECT_FALSE(registry.Turn()) << "does not come to rest";
  }
  FakeXenstored store;
  XenstoreRing ring{store.page()};
  Work work;
  XenRegistry registry{ring, &work};
};

TEST_F(XenRegistryTest, TellsStateAndChanges) {
  store.Write("/a", "top");
  store.Write("/a/b/c", "1");
  store.Write("/ab", "not below");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  EXPECT_EQ(keys.state, (State{{"/a", "top"}, {"/a/b/c", "1"}}));
  store.Write("/a/b/c", "2");
  store.Write("/a/d", "3");
  Run();
  EXPECT_EQ(keys.state, (State{{"/a", "top"}, {"/a/b/c", "2"}, {"/a/d", "3"}}));
  EXPECT_TRUE(keys.gone.empty());
}

TEST_F(XenRegistryTest, EmptyIsAbsent) {
  store.Write("/a/state", "");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  EXPECT_EQ(keys.calls, 0);
  store.Write("/a/state", "2");
  Run();
  store.Write("/a/state", "");
  Run();
  EXPECT_EQ(keys.gone, std::vector<std::string>{"/a/state"});
}

TEST_F(XenRegistryTest, RemovalTellsAllThatWasBelow) {
  store.Write("/a/b", "1");
  store.Write("/a/b/c", "2");
  store.Write("/a/e", "3");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  store.Remove("/a/b");
  Run();
  EXPECT_EQ(keys.state, (State{{"/a/e", "3"}}));
  EXPECT_EQ(keys.gone.size(), 2u);
}

TEST_F(XenRegistryTest, RemovalAboveTheWatchIsNoticed) {
  store.Write("/x/a/b", "1");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/x/a", &keys).ok());
  Run();
  store.Remove("/x");
  Run();
  EXPECT_EQ(keys.gone, std::vector<std::string>{"/x/a/b"});
}

TEST_F(XenRegistryTest, RemovedAndMadeAnewAtOnce) {
  store.Write("/a/b/old", "1");
  store.Write("/a/b/both", "1");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  store.Remove("/a/b");
  store.Write("/a/b/both", "2");
  Run();
  EXPECT_EQ(keys.state, (State{{"/a/b/both", "2"}}));
}

TEST_F(XenRegistryTest, EventsOnAQueuedPathAddNothing) {
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  store.requests.clear();
  for (int i = 0; i < 500; ++i) store.Write("/a", std::to_string(i));
  Run();
  EXPECT_EQ(keys.state, (State{{"/a", "499"}}));
  EXPECT_LT(store.requests.size(), 200u);
}

TEST_F(XenRegistryTest, WhatMayNotBeReadIsAbsent) {
  store.Write("/a/secret", "1");
  store.unreadable = {"/a/secret"};
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  EXPECT_EQ(keys.calls, 0);
}

TEST_F(XenRegistryTest, PublishesInOrder) {
  ASSERT_TRUE(registry.Publish("/me/event-0", "5").ok());
  ASSERT_TRUE(registry.Publish("/me/ring", "8 1 1 256 2048").ok());
  ASSERT_TRUE(registry.Publish("/me/event-0", "6").ok());
  EXPECT_FALSE(registry.written());
  Run();
  EXPECT_TRUE(registry.written());
  EXPECT_EQ(store.Value("/me/event-0"), "6");
  EXPECT_EQ(store.Value("/me/ring"), "8 1 1 256 2048");
  std::vector<std::string> paths;
  for (const auto& [type, path] : store.requests) paths.push_back(path);
  EXPECT_EQ(paths, (std::vector<std::string>{"/me/event-0", "/me/ring", "/me/event-0"}));
}

TEST_F(XenRegistryTest, SameValueIsNotWrittenAgain) {
  ASSERT_TRUE(registry.Publish("/me/a", "1").ok());
  Run();
  ASSERT_TRUE(registry.Publish("/me/a", "1").ok());
  Run();
  EXPECT_EQ(store.requests.size(), 1u);
}

TEST_F(XenRegistryTest, RemoveEmptiesAllThatWasPublishedBelow) {
  ASSERT_TRUE(registry.Publish("/me/f/3/ring", "1").ok());
  ASSERT_TRUE(registry.Publish("/me/f/3/event-0", "2").ok());
  ASSERT_TRUE(registry.Publish("/me/f/33/ring", "3").ok());
  Run();
  registry.Remove("/me/f/3");
  Run();
  EXPECT_EQ(store.Value("/me/f/3/ring"), "");
  EXPECT_EQ(store.Value("/me/f/3/event-0"), "");
  EXPECT_EQ(store.Value("/me/f/33/ring"), "3");
  ASSERT_TRUE(registry.Publish("/me/f/3/ring", "1").ok());
  Run();
  EXPECT_EQ(store.Value("/me/f/3/ring"), "1");
}

TEST_F(XenRegistryTest, RefusedWriteIsCountedAndMayBeTriedAgain) {
  store.unwritable = {"/other"};
  ASSERT_TRUE(registry.Publish("/other/a", "1").ok());
  Run();
  EXPECT_EQ(registry.counters().refused, 1u);
  store.unwritable.clear();
  ASSERT_TRUE(registry.Publish("/other/a", "1").ok());
  Run();
  EXPECT_EQ(store.Value("/other/a"), "1");
}

TEST_F(XenRegistryTest, EmptyingWhatIsGoneIsNoRefusal) {
  ASSERT_TRUE(registry.Publish("/me/a", "1").ok());
  Run();
  store.Remove("/me");
  store.unwritable = {"/me"};
  registry.Remove("/me/a");
  Run();
  EXPECT_EQ(registry.counters().refused, 0u);
}

TEST_F(XenRegistryTest, MalformedPathsAndValuesAreRefused) {
  Keys keys;
  EXPECT_EQ(registry.Publish("relative", "1").error(), Error::kInvalidArgument);
  EXPECT_EQ(registry.Publish("/sp ace", "1").error(), Error::kInvalidArgument);
  EXPECT_EQ(registry.Publish("/" + std::string(255, 'a'), "1").error(), Error::kInvalidArgument);
  EXPECT_EQ(registry.Publish("/a", std::string(1025, 'a')).error(), Error::kInvalidArgument);
  EXPECT_EQ(registry.Watch("/a/", &keys).error(), Error::kInvalidArgument);
  EXPECT_EQ(registry.Watch("/a", nullptr).error(), Error::kInvalidArgument);
}

TEST_F(XenRegistryTest, WritesThatWaitAreBounded) {
  size_t taken = 0;
  while (registry.Publish("/me/" + std::to_string(taken), "1").ok()) ++taken;
  EXPECT_EQ(taken, XenRegistry::kMaxWrites);
  Run();
  EXPECT_TRUE(registry.Publish("/me/again", "1").ok());
}

TEST_F(XenRegistryTest, RequestsUnderWayStayBelowTheQuota) {
  for (int i = 0; i < 100; ++i) store.Write("/a/" + std::to_string(i), "1");
  Keys keys, others;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  ASSERT_TRUE(registry.Watch("/a", &others).ok());
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(registry.Publish("/me/" + std::to_string(i), "1").ok());
  size_t most = 0;
  for (int i = 0; i < 100000; ++i) {
    store.requests.clear();
    if (!(registry.Turn() | store.Serve())) break;
    most = std::max(most, store.requests.size());
  }
  EXPECT_LT(most, 20u);
  EXPECT_EQ(keys.state.size(), 100u);
  EXPECT_EQ(others.state.size(), 100u);
}

TEST_F(XenRegistryTest, UnwatchedIsToldNothingMore) {
  store.Write("/a/b", "1");
  Keys keys, stays;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  ASSERT_TRUE(registry.Watch("/a", &stays).ok());
  Run();
  store.Write("/a/b", "2");
  store.Serve();
  registry.Unwatch("/a", &keys);
  Run();
  EXPECT_EQ(keys.state, (State{{"/a/b", "1"}}));
  EXPECT_EQ(stays.state, (State{{"/a/b", "2"}}));
  EXPECT_EQ(store.watches.size(), 1u);
}

TEST_F(XenRegistryTest, ObserverMayUnwatchInItsCall) {
  struct Once : RegistryObserver {
    void OnKey(std::string_view, std::string_view, bool) override {
      ++calls;
      registry->Unwatch("/a", this);
    }
    XenRegistry* registry;
    int calls = 0;
  } once;
  once.registry = &registry;
  store.Write("/a/b", "1");
  store.Write("/a/c", "1");
  ASSERT_TRUE(registry.Watch("/a", &once).ok());
  Run();
  EXPECT_EQ(once.calls, 1);
  EXPECT_TRUE(store.watches.empty());
}

TEST_F(XenRegistryTest, KeysPerWatchAreBounded) {
  for (size_t i = 0; i < XenRegistry::kMaxKnown + 200; ++i)
    store.Write("/a/" + std::to_string(i % 4) + "/" + std::to_string(i), "1");
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  EXPECT_EQ(keys.state.size(), XenRegistry::kMaxKnown);
  EXPECT_EQ(registry.counters().dropped, 200u);
}

TEST_F(XenRegistryTest, WatchThatOverflowsIsReadAnew) {
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  for (size_t i = 0; i < XenRegistry::kMaxKnown; ++i) store.Write("/a/" + std::to_string(i), "1");
  // Events only: each lengthens the queue.
  store.bytes_per_turn = 100;
  for (size_t i = 0; i < XenRegistry::kMaxQueued + 10; ++i) {
    const std::string path = "/a/nothing/" + std::to_string(i);
    store.SendMessage(XS_WATCH_EVENT, 0, path + '\0' + store.watches[0].second + '\0');
  }
  Run();
  EXPECT_GT(registry.counters().overflows, 0u);
  EXPECT_EQ(keys.state.size(), XenRegistry::kMaxKnown);
}

TEST_F(XenRegistryTest, TooLongAValueIsAbsent) {
  store.Write("/a/b", std::string(1025, 'x'));
  store.Write("/a/c", std::string(1024, 'x'));
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  EXPECT_EQ(keys.state.size(), 1u);
  EXPECT_EQ(registry.counters().dropped, 1u);
}

TEST_F(XenRegistryTest, NonsenseIsCountedAndIgnored) {
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  Run();
  store.SendMessage(XS_WATCH_EVENT, 0, "no end");
  store.SendMessage(XS_WATCH_EVENT, 0, std::string("/a\0x\0", 5));
  store.SendMessage(XS_READ, 0xffffffff, "?");
  store.SendMessage(XS_READ, 0, "?");
  store.SendMessage(XS_WRITE, 2, "?");
  store.SendMessage(XS_WATCH, 3, "?");
  Run();
  EXPECT_EQ(registry.counters().malformed, 6u);
  EXPECT_EQ(keys.calls, 0);
}

TEST_F(XenRegistryTest, AsksForATurnWhenThereIsWork) {
  Keys keys;
  ASSERT_TRUE(registry.Watch("/a", &keys).ok());
  EXPECT_EQ(work.calls, 1);
  ASSERT_TRUE(registry.Publish("/me/a", "1").ok());
  EXPECT_EQ(work.calls, 2);
}

}  // namespace
}  // namespace librettos::xen
