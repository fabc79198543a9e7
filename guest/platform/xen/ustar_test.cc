#include "guest/platform/xen/ustar.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <map>

namespace librettos::xen {
namespace {

struct Archive final : ByteSource {
  uint64_t size() const override { return bytes.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) override {
    EXPECT_LE(offset, bytes.size());
    EXPECT_LE(out.size(), bytes.size() - offset);
    if (broken) return Error::kIo;
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return Status();
  }
  // `size_field`: instead of the content's size.
  void Add(const std::string& name, const std::string& content, char type = '0',
           const std::string& prefix = "", const char* size_field = nullptr) {
    std::string header(512, '\0');
    std::memcpy(&header[0], name.data(), std::min<size_t>(name.size(), 100));
    std::snprintf(&header[124], 12, "%011zo", content.size());
    if (size_field) std::memcpy(&header[124], size_field, 12);
    header[156] = type;
    std::memcpy(&header[257], "ustar\00000", 8);
    std::memcpy(&header[345], prefix.data(), prefix.size());
    std::memset(&header[148], ' ', 8);
    unsigned sum = 0;
    for (const unsigned char c : header) sum += c;
    std::snprintf(&header[148], 8, "%06o", sum);
    bytes += header + content;
    bytes.resize((bytes.size() + 511) / 512 * 512);
  }
  void End() { bytes.resize(bytes.size() + 1024); }
  std::string bytes;
  bool broken = false;
};

std::string Read(Ustar& files, std::string_view path) {
  FileInfo info;
  auto handle = files.Open(path, &info);
  if (!handle.ok()) return ToString(handle.error());
  std::string content(info.size, '?');
  auto got = files.ReadAt(*handle, 0, std::as_writable_bytes(std::span(content)));
  files.Close(*handle);
  return got.ok() && *got == info.size ? content : "unreadable";
}

std::map<std::string, uint64_t> List(Ustar& files, std::string_view path) {
  std::map<std::string, uint64_t> names;  // Directories: ~0.
  const Status status = files.List(
      path,
      [](void* context, std::string_view name, const FileInfo& info) {
        auto& all = *static_cast<std::map<std::string, uint64_t>*>(context);
        EXPECT_TRUE(all.emplace(name, info.directory ? ~0ull : info.size).second) << name << " told twice";
      },
      &names);
  if (!status.ok()) names[std::string("error ") + ToString(status.error())] = 0;
  return names;
}

using Names = std::map<std::string, uint64_t>;
constexpr uint64_t kDirectory = ~0ull;

TEST(Ustar, ReadsFiles) {
  Archive archive;
  archive.Add("./", "", '5');
  archive.Add("./index.html", "<html>");
  archive.Add("empty", "");
  archive.Add("big", std::string(100000, 'b'));
  archive.Add("c.txt", "deep", '0', "a/b");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  EXPECT_EQ(Read(files, "index.html"), "<html>");
  EXPECT_EQ(Read(files, "./index.html"), "<html>");
  EXPECT_EQ(Read(files, "empty"), "");
  EXPECT_EQ(Read(files, "big"), std::string(100000, 'b'));
  EXPECT_EQ(Read(files, "a/b/c.txt"), "deep");
  EXPECT_EQ(Read(files, "a/b/c"), "not-found");
  EXPECT_EQ(Read(files, "../index.html"), "permission");
}

TEST(Ustar, ReadsAtAnyOffset) {
  Archive archive;
  archive.Add("a", "0123456789");
  archive.Add("b", "other");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  auto handle = files.Open("a", nullptr);
  ASSERT_TRUE(handle.ok());
  std::byte out[100];
  EXPECT_EQ(*files.ReadAt(*handle, 7, out), 3u);
  EXPECT_EQ(static_cast<char>(out[0]), '7');
  EXPECT_EQ(*files.ReadAt(*handle, 10, out), 0u);
  EXPECT_EQ(*files.ReadAt(*handle, ~0ull, out), 0u);
  EXPECT_EQ(*files.ReadAt(*handle, 0, {}), 0u);
  files.Close(*handle);
  EXPECT_EQ(files.ReadAt(*handle, 0, out).error(), Error::kInvalidArgument);
}

TEST(Ustar, ListsDirectories) {
  Archive archive;
  archive.Add("b/", "", '5');
  archive.Add("b-c", "123");
  archive.Add("b/d", "1");
  archive.Add("b/e/f", "1");
  archive.Add("b/e/g", "1");
  archive.Add("implied/x", "12");
  archive.Add("implied/y", "12");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  EXPECT_EQ(List(files, ""), (Names{{"b", kDirectory}, {"b-c", 3}, {"implied", kDirectory}}));
  EXPECT_EQ(List(files, "b/"), (Names{{"d", 1}, {"e", kDirectory}}));
  EXPECT_EQ(List(files, "implied"), (Names{{"x", 2}, {"y", 2}}));
  EXPECT_EQ(List(files, "b-c"), (Names{{"error not-found", 0}}));
  EXPECT_EQ(List(files, "none"), (Names{{"error not-found", 0}}));
  FileInfo info;
  ASSERT_TRUE(files.Open("implied", &info).ok());
  EXPECT_TRUE(info.directory);
}

TEST(Ustar, LastOfSeveralCounts) {
  Archive archive;
  archive.Add("a", "old");
  archive.Add("a", "new");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  EXPECT_EQ(Read(files, "a"), "new");
}

TEST(Ustar, PassesOverWhatIsNoFile) {
  Archive archive;
  archive.Add("link", "", '2');
  archive.Add("pax", std::string(700, 'x'), 'x');
  archive.Add("../escape", "1");
  archive.Add("a", "1");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  EXPECT_EQ(List(files, ""), (Names{{"a", 1}}));
}

TEST(Ustar, WithoutAnArchiveThereAreNoFiles) {
  Ustar files;
  EXPECT_EQ(Read(files, ""), "not-found");
  EXPECT_EQ(List(files, ""), (Names{{"error not-found", 0}}));
}

TEST(Ustar, SpoilsEndTheIndex) {
  struct Case {
    const char* name;
    void (*spoil)(Archive&);
  };
  const Case cases[] = {
      {"size beyond the end", [](Archive& a) { a.Add("bad", "", '0', "", "77777777777"); }},
      {"size in base 256", [](Archive& a) { a.Add("bad", "", '0', "", "\x80\0\0\0\0\0\0\0\0\0\0\1"); }},
      {"size missing", [](Archive& a) { a.Add("bad", "", '0', "", "\0\0\0\0\0\0\0\0\0\0\0"); }},
      {"checksum",
       [](Archive& a) {
         a.Add("bad", "1");
         a.bytes[a.bytes.size() - 1024] = 'x';
       }},
      {"no end", [](Archive&) {}},
      {"cut off",
       [](Archive& a) {
         a.Add("bad", std::string(5000, 'x'));
         a.bytes.resize(a.bytes.size() - 1024);
       }},
      {"noise", [](Archive& a) { a.bytes += std::string(512, '\x55'); }},
  };
  for (const Case& c : cases) {
    Archive archive;
    archive.Add("good", "1");
    c.spoil(archive);
    Ustar files;
    EXPECT_EQ(files.Index(&archive).error(), Error::kProtocol) << c.name;
    EXPECT_EQ(Read(files, "good"), "1") << c.name;
    EXPECT_EQ(Read(files, "bad"), "not-found") << c.name;
  }
}

TEST(Ustar, EntriesAreBounded) {
  Archive archive;
  for (size_t i = 0; i < Ustar::kMaxEntries + 1; ++i) archive.Add(std::to_string(i), "");
  archive.End();
  Ustar files;
  EXPECT_EQ(files.Index(&archive).error(), Error::kExhausted);
}

TEST(Ustar, DeviceErrorsAreTold) {
  Archive archive;
  archive.Add("a", "1");
  archive.End();
  Ustar files;
  ASSERT_TRUE(files.Index(&archive).ok());
  archive.broken = true;
  EXPECT_EQ(Read(files, "a"), "unreadable");
}

}  // namespace
}  // namespace librettos::xen
