// Equal pieces of DMA memory: the buffers of a ring, or a ring itself.
//
// What is read from it is the device's, and hostile: each word is loaded once and checked.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/pci.h"

namespace librettos {

class DmaArray {
 public:
  DmaArray() = default;
  DmaArray(const DmaArray&) = delete;
  // The device was stopped before.
  ~DmaArray() {
    if (memory_) memory_->Release();
  }

  // Once. kExhausted: there is no such memory.
  Status Allocate(PciFunction& function, uint32_t count, uint32_t bytes_each) {
    Result<DmaMemory*> memory = function.AllocateDma(size_t{count} * bytes_each);
    if (!memory.ok()) return memory.error();
    memory_ = memory.value();
    bytes_ = memory_->bytes();
    bus_address_ = memory_->bus_address();
    bytes_each_ = bytes_each;
    return {};
  }

  uint32_t bytes_each() const { return bytes_each_; }
  std::byte* at(uint32_t index) const { return bytes_.data() + size_t{index} * bytes_each_; }
  uint64_t bus_address(uint32_t index) const { return bus_address_ + uint64_t{index} * bytes_each_; }

  // A word that the device shares, at byte `offset`, aligned.
  template <class Word>
  std::atomic_ref<Word> word(size_t offset) const {
    return std::atomic_ref<Word>(*reinterpret_cast<Word*>(bytes_.data() + offset));
  }

 private:
  DmaMemory* memory_ = nullptr;
  std::span<std::byte> bytes_;
  uint64_t bus_address_ = 0;
  uint32_t bytes_each_ = 0;
};

}  // namespace librettos
