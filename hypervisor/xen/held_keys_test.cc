#include "hypervisor/xen/held_keys.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

class Journal final : public KeyWriter {
 public:
  absl::Status Write(absl::string_view path, absl::string_view value) override {
    lines.push_back(absl::StrCat("write ", path, "=", value));
    return absl::OkStatus();
  }
  absl::Status AllowRead(absl::string_view path, hypervisor::DomainId reader) override {
    lines.push_back(absl::StrCat("allow ", path, " ", reader));
    return absl::OkStatus();
  }
  std::vector<std::string> lines;
};

TEST(HeldKeysTest, AppliesPermissionsFirstAndOnce) {
  HeldKeys keys;
  keys.Write("/d/1/b", "2");
  keys.AllowRead("/d/1/s", 7);
  keys.AllowRead("/d/1/s", 7);
  Journal journal;
  ASSERT_TRUE(keys.Apply(journal).ok());
  EXPECT_EQ(journal.lines, (std::vector<std::string>{"allow /d/1/s 7", "write /d/1/b=2"}));
  journal.lines.clear();
  ASSERT_TRUE(keys.Apply(journal).ok());
  EXPECT_TRUE(journal.lines.empty());
}

TEST(HeldKeysTest, TheLastValueCounts) {
  HeldKeys keys;
  keys.Write("/d/1/role", "standby");
  keys.Write("/d/1/role", "active 2");
  EXPECT_EQ(keys.Read("/d/1/role").value(), "active 2");
  Journal journal;
  ASSERT_TRUE(keys.Apply(journal).ok());
  EXPECT_EQ(journal.lines, (std::vector<std::string>{"write /d/1/role=active 2"}));
}

TEST(HeldKeysTest, RemovesWithAllBelowAndNothingBeside) {
  HeldKeys keys;
  keys.Write("/d/1/vif/5", "a");
  keys.Write("/d/1/vif/5/0/guest", "b");
  keys.AllowRead("/d/1/vif/5/0/state", 5);
  keys.Write("/d/1/vif/55/0/guest", "c");
  keys.Remove("/d/1/vif/5");
  Journal journal;
  ASSERT_TRUE(keys.Apply(journal).ok());
  EXPECT_EQ(journal.lines, (std::vector<std::string>{"write /d/1/vif/55/0/guest=c"}));
}

TEST(HeldKeysTest, AnEmptyValueIsNoKey) {
  HeldKeys keys;
  keys.Write("/d/1/x", "");
  EXPECT_TRUE(absl::IsNotFound(keys.Read("/d/1/x").status()));
  EXPECT_TRUE(absl::IsNotFound(keys.Read("/d/1/y").status()));
}

TEST(HeldKeysTest, ListsChildrenOnce) {
  HeldKeys keys;
  keys.Write("/d/1/vif/5/0/guest", "a");
  keys.Write("/d/1/vif/5/0/more", "a");
  keys.Write("/d/1/vif/6", "a");
  keys.Write("/d/1/vify", "a");
  EXPECT_EQ(keys.List("/d/1/vif"), (std::vector<std::string>{"5", "6"}));
}

}  // namespace
}  // namespace librettos::xen
