#include "client/names.h"

#include <gtest/gtest.h>

namespace librettos {
namespace {

TEST(Names, CompletesAShortName) { EXPECT_EQ(FullName("guests", "web"), "guests/web"); }
TEST(Names, KeepsAFullName) { EXPECT_EQ(FullName("guests", "guests/web"), "guests/web"); }
TEST(Names, LeavesAnotherCollectionForTheDaemonToRefuse) {
  EXPECT_EQ(FullName("guests", "servers/net"), "servers/net");
}
TEST(Names, LeavesEmptyEmpty) { EXPECT_EQ(FullName("nics", ""), ""); }
TEST(Names, KeepsNestedNames) {
  EXPECT_EQ(FullName("channels", "guests/a/channels/3"), "guests/a/channels/3");
  EXPECT_EQ(FullName("channels", "a/channels/3"), "guests/a/channels/3");
}

TEST(Names, TakesApart) {
  EXPECT_EQ(IdOf("guests/web"), "web");
  EXPECT_EQ(IdOf("web"), "web");
  EXPECT_EQ(CollectionOf("guests/web"), "guests");
  EXPECT_EQ(CollectionOf("web"), "");
}

}  // namespace
}  // namespace librettos
