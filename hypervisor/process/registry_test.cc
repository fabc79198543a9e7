#include "hypervisor/process/registry.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "hypervisor/process/path.h"
#include "hypervisor/process/watch_feed.h"

namespace librettos::process {
namespace {

using Paths = std::vector<std::string>;

class RegistryTest : public testing::Test {
 protected:
  Paths changed_;
  Registry registry_{[this](const std::string& path) { changed_.push_back(path); }};
};

TEST_F(RegistryTest, RefusesMalformedPaths) {
  const std::string long_path = "/local/domain/7/" + std::string(240, 'x');
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("local"), std::string("/local/"),
        std::string("/local//x"), std::string("/local/../x"), std::string("/local/./x"), std::string("/a b"),
        std::string("/a\n"), std::string("/a\0b", 4), std::string("/\xc3\xa4"), long_path}) {
    EXPECT_TRUE(absl::IsInvalidArgument(registry_.Write(0, path, "1"))) << path;
    EXPECT_TRUE(absl::IsInvalidArgument(registry_.Remove(7, path))) << path;
    EXPECT_TRUE(absl::IsInvalidArgument(registry_.AddWatch(7, path))) << path;
    EXPECT_TRUE(absl::IsInvalidArgument(registry_.Read(0, path).status())) << path;
  }
  EXPECT_TRUE(registry_.Write(0, long_path.substr(0, 255), "1").ok());
  EXPECT_TRUE(registry_.Write(0, "/a-b_c/D@e.f:0/..x", "1").ok());
}

TEST_F(RegistryTest, ADomainWritesOnlyItsOwnUnreservedKeys) {
  for (const char* path :
       {"/local/domain/7/data/mode", "/local/domain/7/data/x/y",
        "/local/domain/7/device/vif/0/frontend/2/ring", "/local/domain/7/backend/vif/3/0/state",
        "/local/domain/7/backend/vif/3/0/error"}) {
    EXPECT_TRUE(registry_.Write(7, path, "1").ok()) << path;
    EXPECT_TRUE(absl::IsPermissionDenied(registry_.Write(8, path, "1"))) << path;
  }
  for (const char* path : {"/x",
                           "/local",
                           "/local/domain",
                           "/local/domain/7",
                           "/local/domain/8/data/x",
                           "/local/domain/07/data/x",
                           "/local/domain/70/data/x",
                           "/local/domain/7/name",
                           "/local/domain/7/name/x",
                           "/local/domain/7/control/role",
                           "/local/domain/7/control",
                           "/local/domain/7/device/vif/0/mac",
                           "/local/domain/7/device/vif/0/addresses",
                           "/local/domain/7/device/vif/0/gateway4",
                           "/local/domain/7/device/vif/0/gateway6",
                           "/local/domain/7/device/vif/0/mtu",
                           "/local/domain/7/device/vif/0/shared",
                           "/local/domain/7/device/vif/0/queue-pairs",
                           "/local/domain/7/device/vif/0/backend/2",
                           "/local/domain/7/backend/vif/3/0/guest"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(registry_.Write(7, path, "1"))) << path;
    EXPECT_TRUE(registry_.Write(0, path, "1").ok()) << path;
  }
}

TEST_F(RegistryTest, ReadersFollowTheTable) {
  const auto readable = [&](const char* path, DomainId reader) {
    EXPECT_TRUE(registry_.Write(0, path, "1").ok());
    return registry_.Read(reader, path).ok();
  };
  EXPECT_TRUE(readable("/local/domain/7/control/lease-key", 7));
  EXPECT_FALSE(readable("/local/domain/7/control/lease-key", 8));
  EXPECT_TRUE(readable("/local/domain/7/device/vif/0/frontend/2/ring", 2));
  EXPECT_FALSE(readable("/local/domain/7/device/vif/0/frontend/2/ring", 3));
  EXPECT_FALSE(readable("/local/domain/7/device/vif/0/frontend/02/ring", 2));
  EXPECT_FALSE(readable("/local/domain/7/device/vif/1/frontend/2/ring", 2));
  EXPECT_TRUE(readable("/local/domain/2/backend/vif/7/0/state", 7));
  EXPECT_TRUE(readable("/local/domain/2/backend/vif/7/0/error", 7));
  EXPECT_FALSE(readable("/local/domain/2/backend/vif/7/0/guest", 7));
  EXPECT_FALSE(readable("/local/domain/2/backend/vif/8/0/state", 7));
  EXPECT_FALSE(readable("/local/domain/2/backend/vif/7/0/state/x", 7));
  EXPECT_FALSE(readable("/local/domain/x/backend/vif/7/0/state", 7));
  EXPECT_TRUE(absl::IsNotFound(
      registry_.Read(8, "/local/domain/7/control/lease-key").status()));  // Not its existence.
}

TEST_F(RegistryTest, RightsGoWithWhatDomain0Removes) {
  const std::string guest = "/local/domain/7/backend/vif/9";
  registry_.Reserve(guest + "/0/guest");
  registry_.AllowRead(guest + "/0/state", 9);
  registry_.AllowRead("/local/domain/7/data/a", 9);
  ASSERT_EQ(registry_.rights(), 3u);
  ASSERT_TRUE(registry_.Remove(7, guest).ok());
  EXPECT_EQ(registry_.rights(), 3u) << "the owner cannot remove what was given";
  ASSERT_TRUE(registry_.Remove(0, guest).ok());
  EXPECT_EQ(registry_.rights(), 1u);
  registry_.DropDomain(9);
  EXPECT_EQ(registry_.rights(), 0u);
}

TEST_F(RegistryTest, ReserveAndAllowRead) {
  ASSERT_TRUE(registry_.Write(7, "/local/domain/7/data/a/b", "1").ok());
  registry_.Reserve("/local/domain/7/data/a");
  EXPECT_TRUE(absl::IsPermissionDenied(registry_.Write(7, "/local/domain/7/data/a", "2")));
  EXPECT_TRUE(absl::IsPermissionDenied(registry_.Write(7, "/local/domain/7/data/a/b", "2")));
  EXPECT_TRUE(registry_.Write(7, "/local/domain/7/data/ab", "2").ok());
  EXPECT_TRUE(registry_.Remove(7, "/local/domain/7/data").ok());  // Removes only what it may write.
  EXPECT_TRUE(registry_.Read(0, "/local/domain/7/data/a/b").ok());
  EXPECT_FALSE(registry_.Read(0, "/local/domain/7/data/ab").ok());
  changed_.clear();
  registry_.AllowRead("/local/domain/7/data/a", 9);
  EXPECT_EQ(changed_, Paths{"/local/domain/7/data/a/b"});
  EXPECT_TRUE(registry_.Read(9, "/local/domain/7/data/a/b").ok());
  EXPECT_FALSE(registry_.Read(8, "/local/domain/7/data/a/b").ok());
  registry_.DropDomain(9);
  EXPECT_FALSE(registry_.Read(9, "/local/domain/7/data/a/b").ok());
}

TEST_F(RegistryTest, QuotaOfKeysAndSizeOfValues) {
  const auto key = [](size_t i) { return absl::StrCat("/local/domain/7/data/", i); };
  for (size_t i = 0; i < kMaxKeys; ++i) ASSERT_TRUE(registry_.Write(7, key(i), "1").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(registry_.Write(7, key(kMaxKeys), "1")));
  EXPECT_TRUE(registry_.Write(7, key(0), "2").ok());         // Its own again.
  EXPECT_TRUE(registry_.Write(0, key(kMaxKeys), "1").ok());  // The daemon's do not count,
  EXPECT_TRUE(absl::IsResourceExhausted(registry_.Write(7, key(kMaxKeys), "2")));  // until taken over.
  EXPECT_TRUE(registry_.Write(0, key(0), "3").ok());  // Taken over by the daemon: one is free.
  EXPECT_TRUE(registry_.Write(7, key(kMaxKeys), "2").ok());
  EXPECT_TRUE(registry_.Write(8, "/local/domain/8/data/x", "1").ok());
  EXPECT_TRUE(registry_.Remove(7, "/local/domain/7").ok());
  EXPECT_TRUE(registry_.Write(7, key(0), std::string(1024, 'x')).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(registry_.Write(7, key(0), std::string(1025, 'x'))));
  EXPECT_EQ(*registry_.Read(7, key(0)), std::string(1024, 'x'));
}

TEST_F(RegistryTest, TellsChangesOnly) {
  ASSERT_TRUE(registry_.Write(0, "/a", "1").ok());
  ASSERT_TRUE(registry_.Write(0, "/a", "1").ok());
  EXPECT_EQ(changed_, Paths{"/a"});
  ASSERT_TRUE(registry_.Write(0, "/a", "").ok());
  ASSERT_TRUE(registry_.Remove(0, "/b").ok());
  ASSERT_TRUE(registry_.Remove(0, "/a").ok());
  EXPECT_EQ(changed_, (Paths{"/a", "/a", "/a"}));
}

TEST_F(RegistryTest, RemovesWholeComponentsOnly) {
  for (const char* path : {"/a", "/a-b", "/a/c", "/a/c/d", "/a.b", "/ab"})
    ASSERT_TRUE(registry_.Write(0, path, "1").ok());
  EXPECT_EQ(registry_.List("/"), (Paths{"a", "a-b", "a.b", "ab"}));
  EXPECT_EQ(registry_.List("/a"), Paths{"c"});
  EXPECT_TRUE(registry_.List("/x").empty());
  ASSERT_TRUE(registry_.Remove(0, "/a").ok());
  EXPECT_EQ(registry_.List("/"), (Paths{"a-b", "a.b", "ab"}));
}

TEST_F(RegistryTest, WatchesCoverWholeComponentsAndOnlyWhatIsReadable) {
  ASSERT_TRUE(registry_.AddWatch(7, "/local/domain/7/data").ok());
  ASSERT_TRUE(registry_.AddWatch(7, "/local/domain/7/data/x").ok());
  EXPECT_EQ(registry_.Watchers("/local/domain/7/data/x/y"), std::vector<DomainId>{7});
  EXPECT_EQ(registry_.Watchers("/local/domain/7/data"), std::vector<DomainId>{7});
  EXPECT_TRUE(registry_.Watchers("/local/domain/7/data2").empty());
  EXPECT_TRUE(registry_.Watchers("/local/domain/7").empty());
  EXPECT_TRUE(absl::IsPermissionDenied(registry_.AddWatch(7, "/local/domain")));
  EXPECT_TRUE(absl::IsPermissionDenied(registry_.AddWatch(7, "/local/domain/8")));
  // What a peer publishes for this domain only.
  ASSERT_TRUE(registry_.AddWatch(7, "/local/domain/2/backend/vif/7/0").ok());
  EXPECT_EQ(registry_.Watchers("/local/domain/2/backend/vif/7/0/state"), std::vector<DomainId>{7});
  EXPECT_TRUE(registry_.Watchers("/local/domain/2/backend/vif/7/0/guest").empty());
  registry_.RemoveWatch(7, "/local/domain/7/data");
  registry_.RemoveWatch(8, "/local/domain/7/data/x");
  EXPECT_TRUE(registry_.Watchers("/local/domain/7/data").empty());
  EXPECT_EQ(registry_.Watchers("/local/domain/7/data/x").size(), 1u);
  registry_.DropWatches(7);
  EXPECT_TRUE(registry_.Watchers("/local/domain/7/data/x").empty());
}

TEST_F(RegistryTest, QuotaOfWatches) {
  const auto path = [](size_t i) { return absl::StrCat("/local/domain/7/data/", i); };
  for (size_t i = 0; i < kMaxWatches; ++i) ASSERT_TRUE(registry_.AddWatch(7, path(i)).ok());
  EXPECT_TRUE(registry_.AddWatch(7, path(0)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(registry_.AddWatch(7, path(kMaxWatches))));
  registry_.RemoveWatch(7, path(0));
  EXPECT_TRUE(registry_.AddWatch(7, path(kMaxWatches)).ok());
}

TEST_F(RegistryTest, ADeclarationRemovesWhatIsNotDeclaredAgain) {
  ASSERT_TRUE(registry_.Write(7, "/local/domain/7/data/a", "1").ok());
  ASSERT_TRUE(registry_.Write(7, "/local/domain/7/data/b", "1").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control/role", "1").ok());
  registry_.BeginDeclaration(7);
  ASSERT_TRUE(registry_.Write(7, "/local/domain/7/data/a", "1").ok());
  changed_.clear();
  registry_.EndDeclaration(7);
  EXPECT_EQ(changed_, Paths{"/local/domain/7/data/b"});
  EXPECT_TRUE(registry_.Read(0, "/local/domain/7/control/role").ok());
  EXPECT_TRUE(registry_.Read(0, "/local/domain/7/data/a").ok());
}

TEST_F(RegistryTest, TheSubtreeGoesWithItsDomain) {
  ASSERT_TRUE(registry_.Write(7, "/local/domain/7/data/a", "1").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/name", "x").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/70/name", "x").ok());
  registry_.DropDomain(7);
  EXPECT_EQ(registry_.List("/local/domain"), Paths{"70"});
  EXPECT_EQ(registry_.size(), 1u);
}

TEST_F(RegistryTest, AFeedTellsStateThenSyncedThenChanges) {
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control", "c").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control-x", "x").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control/a", "1").ok());
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control/b", "2").ok());
  WatchFeed feed(registry_, 7);
  feed.Watch("/local/domain/7/control");
  Paths told;
  while (auto message = feed.Next()) {
    told.push_back(message->type == WireType::kSynced ? "synced" : message->path + "=" + message->value);
  }
  EXPECT_EQ(told, (Paths{"/local/domain/7/control=c", "/local/domain/7/control/a=1",
                         "/local/domain/7/control/b=2", "synced"}));
  // Many changes of one key are one message, with the last value.
  ASSERT_TRUE(registry_.Write(0, "/local/domain/7/control/a", "5").ok());
  EXPECT_TRUE(feed.Changed("/local/domain/7/control/a"));
  ASSERT_TRUE(registry_.Remove(0, "/local/domain/7/control/a").ok());
  EXPECT_TRUE(feed.Changed("/local/domain/7/control/a"));
  auto message = feed.Next();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->a, 0u);
  EXPECT_FALSE(feed.Next().has_value());
}

TEST_F(RegistryTest, AFeedIsBounded) {
  WatchFeed feed(registry_, 7);
  for (size_t i = 0; i < kMaxPendingMessages; ++i) ASSERT_TRUE(feed.Changed(absl::StrCat("/x/", i)));
  EXPECT_TRUE(feed.Changed("/x/0"));
  EXPECT_FALSE(feed.Changed("/x/more"));
  feed.Clear();
  EXPECT_TRUE(feed.Changed("/x/more"));
}

}  // namespace
}  // namespace librettos::process
