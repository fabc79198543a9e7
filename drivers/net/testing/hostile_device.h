// A device that writes anything, anywhere in the memory that it was given.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "drivers/net/testing/fake_pci.h"
#include "drivers/net/testing/frames.h"

namespace librettos::fake {

// Uses `nic`, whose device processes nothing, for `turns` while its DMA memory is scribbled over. What it
// gives must be frames that fit; whether it reads or writes elsewhere is for the sanitizers to see.
inline void Scribble(FakePci& pci, Nic& nic, uint32_t seed, int turns) {
  struct Ignore final : Handler {
    void OnEvent() override {}
  } handler;
  std::mt19937 random(seed);
  std::vector<std::byte> buffer(4096);
  const Frame frame = PlainFrame({2, 0, 0, 0, 0, 1}, 1000, 1);
  const Part part{frame.data(), 1000};
  const OutFrame out{{&part, 1}, 1000, {}};
  for (int turn = 0; turn < turns; ++turn) {
    const std::vector<std::span<std::byte>> blocks = pci.DmaBlocks();
    for (int i = 0; i < 16; ++i) {
      std::span<std::byte> block = blocks[random() % blocks.size()];
      if (random() % 2) block = block.first(std::min<size_t>(block.size(), 4096));
      // Often something that looks as if it were meant: small numbers, done bits.
      uint32_t word = random();
      if (random() % 2) word &= 0x00030103;
      std::memcpy(block.data() + random() % (block.size() / 4) * 4, &word, 4);
    }
    InFrame in{.buffer = buffer, .offload = {}};
    if (nic.Receive({&in, 1}) == 1) {
      ASSERT_LE(in.length, buffer.size());
      ASSERT_GE(in.length, kEthernetHeaderBytes);
      const Offload& offload = in.offload;
      if (offload.needs_checksum) {
        ASSERT_LE(offload.checksum_start + offload.checksum_offset + 2u, in.length);
      }
    }
    (void)nic.Transmit({&out, 1});
    nic.SetHandler(random() % 2 ? &handler : nullptr);
    pci.Poll();
  }
  nic.SetHandler(nullptr);
}

}  // namespace librettos::fake
