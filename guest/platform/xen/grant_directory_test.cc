#include "guest/platform/xen/grant_directory.h"

#include <gtest/gtest.h>

#include <vector>

namespace librettos::xen {
namespace {

struct Directory {
  explicit Directory(size_t region_pages) : pages(GrantDirectoryPages(region_pages)) {
    for (size_t i = 0; i < region_pages; ++i) refs.push_back(static_cast<GrantRef>(1000 + i));
    for (size_t i = 0; i < pages.size(); ++i) own.push_back(static_cast<GrantRef>(10 + i));
    WriteGrantDirectory(pages, own, refs);
  }
  // Follows the chain for the first `wanted` pages.
  Result<std::vector<GrantRef>> Read(size_t wanted) {
    std::vector<GrantRef> read(wanted);
    GrantDirectoryReader reader(read);
    GrantRef next = 10;
    for (int steps = 0; next != 0; ++steps) {
      EXPECT_LT(steps, 100) << "the chain does not end";
      if (next < 10 || next >= 10 + pages.size()) return Error::kNotFound;
      auto taken = reader.Take(&pages[next - 10]);
      if (!taken.ok()) return taken.error();
      next = *taken;
    }
    return read;
  }
  std::vector<GrantDirectoryPage> pages;
  std::vector<GrantRef> own, refs;
};

TEST(GrantDirectory, ReadsWhatWasWritten) {
  for (const size_t pages : {1, 2, 1019, 1020, 1021, 2040, 2041, 5000}) {
    Directory directory(pages);
    auto read = directory.Read(pages);
    ASSERT_TRUE(read.ok()) << pages;
    EXPECT_EQ(*read, directory.refs) << pages;
  }
}

TEST(GrantDirectory, PartOfARegionNeedsPartOfTheChain) {
  Directory directory(3000);
  directory.pages[2].magic = 0;
  auto read = directory.Read(1500);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->back(), 1000u + 1499);
}

TEST(GrantDirectory, TooSmallARegionIsRefused) { EXPECT_EQ(Directory(5).Read(6).error(), Error::kProtocol); }

TEST(GrantDirectory, HostilePagesAreRefused) {
  struct Case {
    const char* name;
    void (*spoil)(Directory&);
  };
  const Case cases[] = {
      {"magic", [](Directory& d) { d.pages[0].magic ^= 1; }},
      {"no refs", [](Directory& d) { d.pages[0].count = 0; }},
      {"count beyond the page", [](Directory& d) { d.pages[0].count = 1021; }},
      {"count of all ones", [](Directory& d) { d.pages[0].count = ~0u; }},
      {"count beyond the region", [](Directory& d) { d.pages[1].count = 1020; }},
      {"no pages", [](Directory& d) { d.pages[0].pages = 0; }},
      {"fewer pages", [](Directory& d) { d.pages[0].pages = 1199; }},
      {"pages differ", [](Directory& d) { d.pages[1].pages = 1300; }},
      {"ends early", [](Directory& d) { d.pages[0].next = 0; }},
      {"reference 0", [](Directory& d) { d.pages[1].refs[3] = 0; }},
  };
  for (const Case& c : cases) {
    Directory directory(1200);
    c.spoil(directory);
    EXPECT_EQ(directory.Read(1200).error(), Error::kProtocol) << c.name;
  }
}

TEST(GrantDirectory, CircleEnds) {
  Directory directory(1200);
  for (auto& page : directory.pages) {
    page.count = 1;
    page.next = 10;
  }
  EXPECT_EQ(Directory(1200).Read(1200).ok(), true);
  std::vector<GrantRef> read(1200);
  GrantDirectoryReader reader(read);
  int steps = 0;
  for (GrantRef next = 10; next != 0; ++steps) {
    auto taken = reader.Take(&directory.pages[0]);
    ASSERT_TRUE(taken.ok());
    next = *taken;
  }
  EXPECT_EQ(steps, 1200);
}

}  // namespace
}  // namespace librettos::xen
