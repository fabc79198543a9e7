#include "daemon/store.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"

namespace librettos::daemon {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : directory_(MakeDirectory()), store_(directory_) {}
  ~StoreTest() override { std::filesystem::remove_all(directory_); }
  static std::string MakeDirectory() {
    std::string name = ::testing::TempDir() + "/store-XXXXXX";
    return mkdtemp(name.data());
  }
  std::string Content() {
    std::ifstream file(store_.path(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void SetContent(const std::string& content) { std::ofstream(store_.path(), std::ios::binary) << content; }
  State Sample() {
    State state;
    state.set_next_epoch(7);
    (*state.add_guests()).set_mac("02:00:00:00:00:01");
    return state;
  }
  std::string directory_;
  Store store_;
};

TEST_F(StoreTest, NoFileIsAnEmptyState) {
  auto state = store_.Load();
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->ByteSizeLong(), 0u);
}

TEST_F(StoreTest, RoundTrip) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  auto state = store_.Load();
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->SerializeAsString(), Sample().SerializeAsString());
  EXPECT_FALSE(std::filesystem::exists(store_.path() + ".new"));
}

TEST_F(StoreTest, EveryTruncationIsNoticedAndTheFileKept) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  std::string whole = Content();
  for (size_t length = 0; length < whole.size(); ++length) {
    SetContent(whole.substr(0, length));
    EXPECT_FALSE(store_.Load().ok()) << length;
    EXPECT_EQ(Content().size(), length);
  }
}

TEST_F(StoreTest, EveryFlippedByteIsNoticed) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  std::string whole = Content();
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string broken = whole;
    broken[i] ^= 0x11;
    SetContent(broken);
    auto state = store_.Load();
    EXPECT_FALSE(state.ok()) << i;
    EXPECT_NE(state.status().message().find(store_.path()), std::string::npos);
  }
}

TEST_F(StoreTest, NewerVersionIsRefused) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  std::string whole = Content();
  whole.replace(whole.find(" 1 "), 3, " 2 ");
  SetContent(whole);
  EXPECT_NE(store_.Load().status().message().find("version 2"), std::string::npos);
}

TEST_F(StoreTest, HalfWrittenSuccessorDoesNoHarm) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  std::ofstream(store_.path() + ".new") << "librettos-state 1 99";
  ASSERT_TRUE(store_.Load().ok());
  ASSERT_TRUE(store_.Save(Sample()).ok());
}

TEST_F(StoreTest, FailedSaveLeavesTheOldState) {
  ASSERT_TRUE(store_.Save(Sample()).ok());
  std::string before = Content();
  ASSERT_TRUE(std::filesystem::create_directory(store_.path() + ".new"));
  EXPECT_FALSE(store_.Save(State()).ok());
  EXPECT_EQ(Content(), before);
}

}  // namespace
}  // namespace librettos::daemon
