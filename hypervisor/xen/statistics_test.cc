#include "hypervisor/xen/statistics.h"

#include <memory>

#include "gtest/gtest.h"
#include "guest/platform/statistics.h"

namespace librettos::xen {
namespace {

struct DirectoryPage {
  uint32_t words[1024] = {kGrantDirectoryMagic, 3, 0, 3, 101, 102, 103};
};

TEST(GrantDirectoryTest, ReadsReferencesInOrder) {
  DirectoryPage page;
  auto directory = GrantDirectory::Read(page.words);
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(directory->pages, 3u);
  EXPECT_EQ(directory->next, 0u);
  EXPECT_EQ(directory->refs, (std::vector<uint32_t>{101, 102, 103}));
}

TEST(GrantDirectoryTest, RefusesWhatCannotBe) {
  const auto refused = [](int word, uint32_t value) {
    DirectoryPage page;
    page.words[word] = value;
    return !GrantDirectory::Read(page.words).ok();
  };
  EXPECT_TRUE(refused(0, 0)) << "magic";
  EXPECT_TRUE(refused(1, 0)) << "no pages";
  EXPECT_TRUE(refused(1, kMaxStatisticsPages + 1)) << "too many pages";
  EXPECT_TRUE(refused(1, 2)) << "more references than pages";
  EXPECT_TRUE(refused(3, 0)) << "no references";
  EXPECT_TRUE(refused(3, kMaxDirectoryRefs + 1)) << "more than a page can hold";
  EXPECT_TRUE(refused(3, 0xffffffff));
}

struct alignas(4096) Page {
  StatisticsHeader header;
  StatisticsRow rows[7];
};
static_assert(sizeof(Page) == 4096);

class StatisticsTest : public ::testing::Test {
 protected:
  StatisticsTest() {
    page_->header.magic = kStatisticsMagic;
    page_->header.version = kStatisticsVersion;
    page_->header.rows = 1;
    page_->header.heartbeat = 41;
    page_->rows[0].values[0] = 7;
    statistics_ = Statistics::Over(page_.get(), 1);
  }
  std::unique_ptr<Page> page_ = std::make_unique<Page>();
  std::unique_ptr<Statistics> statistics_;
};

TEST_F(StatisticsTest, CopiesHeaderAndRows) {
  auto words = statistics_->Copy();
  ASSERT_TRUE(words.ok()) << words.status();
  ASSERT_EQ(words->size(), 128u);
  EXPECT_EQ((*words)[65], 7u);
  EXPECT_EQ(statistics_->Heartbeat(), 41u);
}

TEST_F(StatisticsTest, RefusesMoreRowsThanThePagesHold) {
  page_->header.rows = 7;
  EXPECT_TRUE(statistics_->Copy().ok());
  for (uint32_t rows : {8u, 0xffffffffu}) {
    page_->header.rows = rows;
    EXPECT_TRUE(absl::IsUnavailable(statistics_->Copy().status())) << rows;
  }
}

TEST_F(StatisticsTest, RefusesAnotherVersion) {
  page_->header.version = kStatisticsVersion + 1;
  EXPECT_TRUE(absl::IsUnavailable(statistics_->Copy().status()));
}

}  // namespace
}  // namespace librettos::xen
