#include "guest/platform/xen/heap.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace librettos::xen {
namespace {

constexpr size_t kPage = 4096;

int pages_held = 0, pages_allowed = 0;
std::set<void*> runs;  // Freed at the end, with what the heap keeps.

void* TakePages(size_t pages) {
  if (pages_held + static_cast<int>(pages) > pages_allowed) return nullptr;
  pages_held += static_cast<int>(pages);
  void* begin = std::aligned_alloc(kPage, pages * kPage);
  runs.insert(begin);
  memset(begin, 0xdb, pages * kPage);  // The heap must not lean on zeroed pages.
  return begin;
}

void GivePages(void* begin, size_t pages) {
  pages_held -= static_cast<int>(pages);
  runs.erase(begin);
  std::free(begin);
}

class HeapTest : public testing::Test {
 protected:
  HeapTest() {
    pages_held = 0;
    pages_allowed = 10000;
  }
  ~HeapTest() override {
    for (void* begin : runs) std::free(begin);
    runs.clear();
  }
  Heap heap_{{TakePages, GivePages}, 0x1234567890abcdef};
};

TEST_F(HeapTest, GivesWhatWasAskedFor) {
  for (size_t bytes = 0; bytes < 9000; bytes += 7) {
    void* object = heap_.Allocate(bytes);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(reinterpret_cast<uint64_t>(object) % 16, 0u);
    EXPECT_GE(heap_.SizeOf(object), bytes);
    memset(object, 0xff, heap_.SizeOf(object));  // All of it may be used: the header stays whole.
    heap_.Free(object);
  }
}

TEST_F(HeapTest, WastesLittle) {
  for (size_t bytes = 64; bytes <= 1008; bytes += 16) {
    void* object = heap_.Allocate(bytes);
    EXPECT_LE(heap_.SizeOf(object), bytes + bytes / 4 + 16) << bytes;
    heap_.Free(object);
  }
}

TEST_F(HeapTest, AlignsObjects) {
  for (size_t alignment = 16; alignment <= kPage; alignment *= 2) {
    for (const size_t bytes : {1, 64, 300, 2000, 5000}) {
      void* object = heap_.Allocate(bytes, alignment);
      ASSERT_NE(object, nullptr);
      EXPECT_EQ(reinterpret_cast<uint64_t>(object) % alignment, 0u) << bytes;
      EXPECT_GE(heap_.SizeOf(object), bytes);
      memset(object, 0xff, heap_.SizeOf(object));
      heap_.Free(object);
    }
  }
}

TEST_F(HeapTest, RefusesOtherAlignmentsAndAbsurdSizes) {
  EXPECT_EQ(heap_.Allocate(8, 24), nullptr);
  EXPECT_EQ(heap_.Allocate(8, 0), nullptr);
  EXPECT_EQ(heap_.Allocate(8, 2 * kPage), nullptr);
  EXPECT_EQ(heap_.Allocate(~size_t{0}), nullptr);
  EXPECT_EQ(heap_.Allocate(~size_t{0} - 63), nullptr);
}

TEST_F(HeapTest, KeepsBlocksApartAndGivesPagesBack) {
  struct Block {
    unsigned char* bytes = nullptr;
    size_t size = 0;
    unsigned char mark = 0;
  };
  std::vector<Block> blocks(300);
  std::mt19937 random(1);
  const auto drop = [this](Block& block) {
    for (size_t i = 0; i < block.size; ++i) ASSERT_EQ(block.bytes[i], block.mark);
    heap_.Free(block.bytes);
    block = {};
  };
  for (int i = 0; i < 50000; ++i) {
    Block& block = blocks[random() % blocks.size()];
    drop(block);
    block.size = random() % (random() % 8 ? 400 : 10000);
    block.mark = static_cast<unsigned char>(i);
    block.bytes = static_cast<unsigned char*>(heap_.Allocate(block.size, random() % 10 ? 16 : 64));
    ASSERT_NE(block.bytes, nullptr);
    memset(block.bytes, block.mark, block.size);
  }
  for (Block& block : blocks) drop(block);
  EXPECT_EQ(heap_.pages(), static_cast<size_t>(pages_held));
  EXPECT_LE(pages_held, 23);  // One empty page per class at most.
}

TEST_F(HeapTest, OneObjectGoingToAndFroTakesOnePage) {
  heap_.Free(heap_.Allocate(100));
  EXPECT_EQ(pages_held, 1);
  heap_.Free(heap_.Allocate(100));
  EXPECT_EQ(pages_held, 1);
}

TEST_F(HeapTest, TellsExhaustionAndRecovers) {
  pages_allowed = 3;
  std::vector<void*> objects;
  while (void* object = heap_.Allocate(1000)) objects.push_back(object);
  EXPECT_EQ(objects.size(), 12u);
  EXPECT_EQ(heap_.Allocate(5000), nullptr);
  for (void* object : objects) heap_.Free(object);
  EXPECT_NE(heap_.Allocate(5000), nullptr);
}

using HeapDeathTest = HeapTest;

TEST_F(HeapDeathTest, FreedTwice) {
  void* small = heap_.Allocate(50);
  heap_.Free(heap_.Allocate(50));
  heap_.Free(small);
  EXPECT_DEATH(heap_.Free(small), "freed twice");
}

TEST_F(HeapDeathTest, FreedInTheMiddle) {
  auto* small = static_cast<char*>(heap_.Allocate(96));
  auto* large = static_cast<char*>(heap_.Allocate(10000));
  EXPECT_DEATH(heap_.Free(small + 16), "freed");
  EXPECT_DEATH(heap_.Free(large + 16), "not allocated");
}

TEST_F(HeapDeathTest, HeaderOverwritten) {
  auto* small = static_cast<char*>(heap_.Allocate(2000));
  memset(reinterpret_cast<void*>((reinterpret_cast<uint64_t>(small)) & ~(kPage - 1)), 'x', 8);
  EXPECT_DEATH(heap_.Free(small), "overwritten");
}

}  // namespace
}  // namespace librettos::xen
