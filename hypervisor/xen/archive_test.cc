#include "hypervisor/xen/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

namespace fs = std::filesystem;

class ArchiveTest : public ::testing::Test {
 protected:
  ArchiveTest() {
    std::string name = ::testing::TempDir() + "/archive-XXXXXX";
    root_ = mkdtemp(name.data());
    fs::create_directory(root_ / "files");
    path_ = root_ / "a.tar";
  }
  ~ArchiveTest() override { fs::remove_all(root_); }

  void Put(const std::string& name, const std::string& content) {
    fs::create_directories((root_ / "files" / name).parent_path());
    std::ofstream(root_ / "files" / name) << content;
  }
  absl::Status Write() { return WriteArchive(root_ / "files", path_); }
  // Name to content; directories have a slash at the end and no content.
  std::map<std::string, std::string> Entries() {
    std::map<std::string, std::string> entries;
    struct archive* archive = archive_read_new();
    archive_read_support_format_tar(archive);
    EXPECT_EQ(archive_read_open_filename(archive, path_.c_str(), 512), ARCHIVE_OK);
    struct archive_entry* entry;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
      EXPECT_EQ(archive_format(archive), ARCHIVE_FORMAT_TAR_USTAR);
      std::string content(static_cast<size_t>(archive_entry_size(entry)), '\0');
      EXPECT_EQ(archive_read_data(archive, content.data(), content.size()),
                static_cast<la_ssize_t>(content.size()));
      entries[archive_entry_pathname(entry)] = content;
    }
    archive_read_free(archive);
    return entries;
  }

  fs::path root_, path_;
};

TEST_F(ArchiveTest, HoldsFilesAndDirectoriesByRelativeName) {
  Put("index.html", "hello");
  Put("a/b/c", std::string(100'000, 'x'));
  fs::create_directory(root_ / "files/empty");
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(Entries(), (std::map<std::string, std::string>{{"index.html", "hello"},
                                                           {"a/", ""},
                                                           {"a/b/", ""},
                                                           {"a/b/c", std::string(100'000, 'x')},
                                                           {"empty/", ""}}));
  EXPECT_EQ(fs::file_size(path_) % 512, 0u);
}

TEST_F(ArchiveTest, FollowsLinksOnlyWithinTheDirectory) {
  Put("real", "content");
  fs::create_symlink("real", root_ / "files/inside");
  fs::create_symlink("/etc/passwd", root_ / "files/outside");
  fs::create_symlink("nowhere", root_ / "files/broken");
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(Entries(), (std::map<std::string, std::string>{{"real", "content"}, {"inside", "content"}}));
}

TEST_F(ArchiveTest, NameTooLongForUstarIsAnErrorAndLeavesNoFile) {
  Put(std::string(120, 'n') + "/" + std::string(200, 'm'), "x");
  EXPECT_TRUE(absl::IsInvalidArgument(Write())) << Write();
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ArchiveTest, MissingDirectoryIsAnError) {
  EXPECT_TRUE(absl::IsNotFound(WriteArchive(root_ / "nowhere", path_)));
  EXPECT_FALSE(fs::exists(path_));
}

}  // namespace
}  // namespace librettos::xen
