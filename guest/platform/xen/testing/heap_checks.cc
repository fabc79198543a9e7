#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "guest/platform/platform.h"
#include "guest/platform/xen/malloc.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/testing/check.h"

namespace librettos::xen {
namespace {

// Random sizes held and freed in random order, each filled with a pattern of its own.
bool Stress() {
  struct Block {
    unsigned char* bytes = nullptr;
    size_t size = 0;
  };
  std::array<Block, 256> blocks;
  uint64_t state = 1;
  const auto next = [&state] {
    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 33;
  };
  bool intact = true;
  const auto drop = [&intact](Block& block) {
    const auto mark = static_cast<unsigned char>(block.size);
    for (size_t i = 0; i < block.size; ++i) intact = intact && block.bytes[i] == mark;
    free(block.bytes);
    block = {};
  };
  for (int i = 0; i < 20000; ++i) {
    Block& block = blocks[next() % blocks.size()];
    drop(block);
    block.size = next() % (next() % 16 == 0 ? 20000 : 500);
    block.bytes = static_cast<unsigned char*>(malloc(block.size));
    if (!block.bytes) return false;
    memset(block.bytes, static_cast<unsigned char>(block.size), block.size);
  }
  for (Block& block : blocks) drop(block);
  return intact;
}

void CheckRealloc() {
  auto* text = static_cast<char*>(realloc(nullptr, 10));
  memcpy(text, "realloc", 8);
  for (const size_t size : {100, 5000, 100000, 20}) {
    text = static_cast<char*>(realloc(text, size));
    if (!text || strcmp(text, "realloc") != 0) break;
  }
  Check("realloc keeps the content", text && strcmp(text, "realloc") == 0);
  free(text);
}

void CheckZeroed() {
  memset(malloc(1000), 0xff, 1000);
  const auto* zeroed = static_cast<unsigned char*>(calloc(10, 100));
  bool all = zeroed != nullptr;
  for (int i = 0; all && i < 1000; ++i) all = zeroed[i] == 0;
  Check("calloc zeroes", all);
  // As a variable: the compiler would warn of a constant that can never be had.
  size_t many = size_t{1} << 62;
  asm("" : "+r"(many));
  Check("calloc notices an overflow", calloc(many, 8) == nullptr);
}

void CheckAlignment() {
  struct alignas(64) Line {
    char bytes[64];
  };
  struct alignas(4096) Page {
    char bytes[4096];
  };
  const std::unique_ptr<Line> line(new Line);
  const std::unique_ptr<Page> page(new Page);
  Check("aligned objects are aligned", reinterpret_cast<uint64_t>(line.get()) % 64 == 0 &&
                                           reinterpret_cast<uint64_t>(page.get()) % 4096 == 0);
}

}  // namespace

void CheckHeap() {
  CheckRealloc();
  CheckZeroed();
  CheckAlignment();
  const size_t before = FreePageCount();
  Check("blocks keep their content", Stress());
  // One empty page per size class may be kept.
  Check("the heap gives its pages back", FreePageCount() + 24 >= before);
  size_t much = size_t{1} << 30;
  asm("" : "+r"(much));
  Check("nothrow new tells exhaustion", new (std::nothrow) char[much] == nullptr);
  Check("malloc tells exhaustion", malloc(much) == nullptr);
}

}  // namespace librettos::xen
