#include "hypervisor/xen/xenstore.h"

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

TEST(XenstorePermissionsTest, ANewKeyIsItsDomainsAndReadableByThePeer) {
  // Inherited from a directory of domain 0 that domain 5 may read.
  const std::vector<xs_permissions> inherited = {{0, XS_PERM_NONE}, {5, XS_PERM_READ}};
  const auto wanted = WithReader(inherited, 5, 9);
  EXPECT_TRUE(SamePermissions(wanted, {{5, XS_PERM_NONE}, {9, XS_PERM_READ}}));
}

TEST(XenstorePermissionsTest, ASecondReaderIsAddedAndNoneTwice) {
  const std::vector<xs_permissions> once = WithReader({}, 5, 9);
  EXPECT_TRUE(SamePermissions(WithReader(once, 5, 9), once));
  EXPECT_TRUE(
      SamePermissions(WithReader(once, 5, 10), {{5, XS_PERM_NONE}, {9, XS_PERM_READ}, {10, XS_PERM_READ}}));
}

TEST(XenstorePermissionsTest, WhatAFormerReaderCouldWriteIsOnlyReadNow) {
  EXPECT_TRUE(SamePermissions(WithReader({{5, XS_PERM_READ}, {9, XS_PERM_WRITE}}, 5, 10),
                              {{5, XS_PERM_NONE}, {9, XS_PERM_READ}, {10, XS_PERM_READ}}));
}

TEST(XenstoreOwnerTest, OnlyTheCanonicalFormNamesADomain) {
  EXPECT_EQ(OwnerOf("/local/domain/7/data"), 7u);
  EXPECT_EQ(OwnerOf("/local/domain/7"), 7u);
  EXPECT_FALSE(OwnerOf("/local/domain/07/data").has_value());
  EXPECT_FALSE(OwnerOf("/local/domain/x").has_value());
  EXPECT_FALSE(OwnerOf("/local/domain").has_value());
  EXPECT_FALSE(OwnerOf("/librettos/domain/7").has_value());
}

}  // namespace
}  // namespace librettos::xen
