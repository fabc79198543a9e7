// What guest/channel/word.h is in the explorer's build: a word whose accesses the machine interleaves.
#pragma once

#include <atomic>
#include <cstdint>

namespace librettos::channel {

class Word {
 public:
  uint32_t load(std::memory_order order) const;
  void store(uint32_t value, std::memory_order order);

  uint32_t value = 0;  // What is in memory; the machine's.
};

void FullFence();

}  // namespace librettos::channel
