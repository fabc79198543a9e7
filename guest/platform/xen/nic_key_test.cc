#include "guest/platform/xen/nic_key.h"

#include <gtest/gtest.h>

namespace librettos::xen {
namespace {

TEST(NicKey, IsParsed) {
  auto key = ParseNicKey("3 02:00:00:0a:bC:ff 1500");
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->slot, 3u);
  EXPECT_EQ(key->mtu, 1500u);
  EXPECT_EQ(std::vector<int>(key->address, key->address + 6), (std::vector<int>{2, 0, 0, 10, 0xbc, 0xff}));
}

TEST(NicKey, NonsenseIsRefused) {
  for (const char* value :
       {"", "3", "3 ", "32 02:00:00:00:00:01 1500", "-1 02:00:00:00:00:01 1500", "x 02:00:00:00:00:01 1500",
        "3 02:00:00:00:00 1500", "3 02:00:00:00:00:100 1500", "3 02-00-00-00-00-01 1500",
        "3 02:00:00:00:00:01", "3 02:00:00:00:00:01 ", "3 02:00:00:00:00:01 65536", "3 02:00:00:00:00:01 67",
        "3 02:00:00:00:00:01 1500 "}) {
    EXPECT_FALSE(ParseNicKey(value).ok()) << value;
  }
}

}  // namespace
}  // namespace librettos::xen
