#include "guest/platform/process/registry.h"

#include <gtest/gtest.h>

#include "guest/platform/process/test_daemon.h"
#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

using State = std::map<std::string, std::string>;

TEST(Registry, TellsStateAndChanges) {
  Domain domain(7);
  Keys keys;
  ASSERT_TRUE(domain.platform().registry().Watch("/a", &keys).ok());
  domain.daemon->Key("/a", "top");
  domain.daemon->Key("/a/b", "1");
  domain.daemon->Key("/ab", "not below");
  domain.Turn();
  EXPECT_EQ(keys.state, (State{{"/a", "top"}, {"/a/b", "1"}}));
  domain.daemon->Key("/a/b", "2");
  domain.daemon->Gone("/a");
  domain.daemon->Gone("/a/never");
  domain.Turn();
  EXPECT_EQ(keys.state, (State{{"/a/b", "2"}}));
  EXPECT_EQ(keys.gone, std::vector<std::string>{"/a"});
}

TEST(Registry, KeysThatWentWhileTheDaemonWasAwayAreToldAsGone) {
  Domain domain(7);
  Keys keys;
  ASSERT_TRUE(domain.platform().registry().Watch("/a", &keys).ok());
  domain.daemon->Key("/a/stays", "1");
  domain.daemon->Key("/a/goes", "1");
  domain.daemon->Synced("/a");
  domain.Turn();
  domain.daemon->Close();
  domain.Turn();
  auto next = domain.Connect();
  next->Key("/a/stays", "1");
  domain.Turn();
  EXPECT_TRUE(keys.gone.empty());  // Not before the daemon has told all.
  next->Synced("/a/elsewhere");
  domain.Turn();
  EXPECT_TRUE(keys.gone.empty());
  next->Synced("/a");
  domain.Turn();
  EXPECT_EQ(keys.gone, std::vector<std::string>{"/a/goes"});
  EXPECT_EQ(keys.state, (State{{"/a/stays", "1"}}));
}

TEST(Registry, SecondWatcherOfAPathIsToldTheState) {
  Domain domain(7);
  Keys first, second;
  auto& registry = domain.platform().registry();
  ASSERT_TRUE(registry.Watch("/a", &first).ok());
  domain.daemon->Key("/a/b", "1");
  domain.Turn();
  domain.Messages();
  ASSERT_TRUE(registry.Watch("/a", &second).ok());
  EXPECT_TRUE(Only(domain.Messages(), WireType::kWatch).empty());
  EXPECT_EQ(second.state, first.state);
  registry.Unwatch("/a", &first);
  EXPECT_TRUE(Only(domain.Messages(), WireType::kUnwatch).empty());
  domain.daemon->Key("/a/b", "2");
  domain.Turn();
  EXPECT_EQ(first.state["/a/b"], "1");
  EXPECT_EQ(second.state["/a/b"], "2");
  registry.Unwatch("/a", &second);
  EXPECT_EQ(Only(domain.Messages(), WireType::kUnwatch).size(), 1u);
  domain.daemon->Key("/a/b", "3");
  domain.Turn();
  EXPECT_EQ(second.state["/a/b"], "2");
  // Nothing of what was known remains.
  ASSERT_TRUE(registry.Watch("/a", &first).ok());
  const int calls = first.calls;
  domain.Turn();
  EXPECT_EQ(first.calls, calls);
}

TEST(Registry, ObserverMayUnwatchFromWithinItsCall) {
  Domain domain(7);
  struct Once : RegistryObserver {
    void OnKey(std::string_view, std::string_view, bool) override {
      ++calls;
      registry->Unwatch("/a", this);
    }
    int calls = 0;
    Registry* registry;
  } once;
  once.registry = &domain.platform().registry();
  ASSERT_TRUE(once.registry->Watch("/a", &once).ok());
  domain.daemon->Key("/a/1", "x");
  domain.daemon->Key("/a/2", "x");
  domain.Turn();
  EXPECT_EQ(once.calls, 1);
}

TEST(Registry, PublishesOnlyChanges) {
  Domain domain(7);
  auto& registry = domain.platform().registry();
  domain.Messages();
  ASSERT_TRUE(registry.Publish("/a", "1").ok());
  ASSERT_TRUE(registry.Publish("/a", "1").ok());
  ASSERT_TRUE(registry.Publish("/a", "2").ok());
  EXPECT_EQ(Only(domain.Messages(), WireType::kPublish).size(), 2u);
  registry.Remove("/a");
  EXPECT_EQ(Only(domain.Messages(), WireType::kRemove).size(), 1u);
  ASSERT_TRUE(registry.Publish("/a", "2").ok());
  EXPECT_EQ(Only(domain.Messages(), WireType::kPublish).size(), 1u);
}

TEST(Registry, RefusesWhatCanNeverWork) {
  Domain domain(7);
  auto& registry = domain.platform().registry();
  const Status invalid(Error::kInvalidArgument);
  for (const std::string& path : {std::string(""), std::string("/"), std::string("a"), std::string("/a/"),
                                  std::string("/a b"), "/" + std::string(255, 'a')}) {
    EXPECT_EQ(registry.Publish(path, "x"), invalid) << path;
    Keys keys;
    EXPECT_EQ(registry.Watch(path, &keys), invalid) << path;
  }
  EXPECT_TRUE(registry.Publish("/" + std::string(254, 'a'), std::string(1024, 'v')).ok());
  EXPECT_EQ(registry.Publish("/a", std::string(1025, 'v')), invalid);
  EXPECT_EQ(registry.Watch("/a", nullptr), invalid);
}

}  // namespace
}  // namespace librettos::process
