#include "guest/platform/process/files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace librettos::process {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/files.XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    root_ = directory;
    std::filesystem::create_directories(root_ + "/srv/sub");
    std::ofstream(root_ + "/secret") << "secret";
    std::ofstream(root_ + "/srv/hello.txt") << "hello, world";
    std::ofstream(root_ + "/srv/sub/inner") << "x";
    std::filesystem::create_symlink("../secret", root_ + "/srv/out");
    std::filesystem::create_symlink("hello.txt", root_ + "/srv/in");
    ASSERT_EQ(mkfifo((root_ + "/srv/fifo").c_str(), 0600), 0);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string root_;
};

TEST_F(FilesTest, ReadsAtOffsets) {
  ProcessFiles files((root_ + "/srv").c_str());
  FileInfo info;
  Result<int> handle = files.Open("hello.txt", &info);
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(info.size, 12u);
  EXPECT_FALSE(info.directory);
  std::byte out[5];
  EXPECT_EQ(*files.ReadAt(*handle, 7, out), 5u);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(out), 5), "world");
  EXPECT_EQ(*files.ReadAt(*handle, 10, out), 2u);
  EXPECT_EQ(*files.ReadAt(*handle, 12, out), 0u);
  EXPECT_EQ(files.ReadAt(*handle, UINT64_MAX, out).error(), Error::kInvalidArgument);
  files.Close(*handle);
  EXPECT_EQ(files.ReadAt(*handle, 0, out).error(), Error::kInvalidArgument);
  EXPECT_EQ(files.ReadAt(-1, 0, out).error(), Error::kInvalidArgument);
}

TEST_F(FilesTest, NeverLeavesTheDirectory) {
  ProcessFiles files((root_ + "/srv").c_str());
  EXPECT_EQ(files.Open("../secret", nullptr).error(), Error::kPermission);
  EXPECT_EQ(files.Open("sub/../../secret", nullptr).error(), Error::kPermission);
  EXPECT_EQ(files.Open("/etc/passwd", nullptr).error(), Error::kPermission);
  EXPECT_EQ(files.Open("out", nullptr).error(), Error::kPermission);
  EXPECT_TRUE(files.Open("in", nullptr).ok());
  EXPECT_EQ(files.Open("nothing", nullptr).error(), Error::kNotFound);
  EXPECT_EQ(files.Open("hello.txt/x", nullptr).error(), Error::kNotFound);
  EXPECT_EQ(files.Open(std::string_view("a\0b", 3), nullptr).error(), Error::kInvalidArgument);
  EXPECT_EQ(files.Open("fifo", nullptr).error(), Error::kPermission);
}

TEST_F(FilesTest, ListsFilesAndDirectories) {
  ProcessFiles files((root_ + "/srv").c_str());
  std::set<std::string> names;
  auto collect = [](void* context, std::string_view name, const FileInfo& info) {
    static_cast<std::set<std::string>*>(context)->insert(std::string(name) + (info.directory ? "/" : ""));
  };
  ASSERT_TRUE(files.List("", collect, &names).ok());
  EXPECT_EQ(names, (std::set<std::string>{"hello.txt", "sub/"}));
  EXPECT_EQ(files.List("hello.txt", collect, &names), Status(Error::kNotFound));
  FileInfo info;
  ASSERT_TRUE(files.Open("sub", &info).ok());
  EXPECT_TRUE(info.directory);
}

TEST_F(FilesTest, HandlesAreBounded) {
  ProcessFiles files((root_ + "/srv").c_str());
  for (size_t i = 0; i < ProcessFiles::kMaxOpen; ++i)
    ASSERT_EQ(*files.Open("in", nullptr), static_cast<int>(i));
  EXPECT_EQ(files.Open("in", nullptr).error(), Error::kExhausted);
  files.Close(17);
  EXPECT_EQ(*files.Open("in", nullptr), 17);
}

TEST_F(FilesTest, WithoutADirectoryNothingIsFound) {
  ProcessFiles files((root_ + "/absent").c_str());
  EXPECT_EQ(files.Open("a", nullptr).error(), Error::kNotFound);
  EXPECT_EQ(files.List("", nullptr, nullptr), Status(Error::kNotFound));
}

}  // namespace
}  // namespace librettos::process
