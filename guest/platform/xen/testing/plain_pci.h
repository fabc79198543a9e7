// A PCI function of a machine without hypervisor, as its firmware placed it, for images that poll: there are
// no interrupts. Bus 0, function 0.
#pragma once

#include <array>

#include "guest/platform/pci.h"

namespace librettos::xen {

class PlainPci final : public PciFunction {
 public:
  explicit PlainPci(unsigned slot) : slot_(slot) {}

  uint32_t ReadConfig(uint32_t offset, unsigned width) override;
  void WriteConfig(uint32_t offset, unsigned width, uint32_t value) override;
  Result<uint64_t> OpenBar(unsigned bar) override;
  uint8_t Read8(unsigned bar, uint64_t offset) override { return Load<uint8_t>(bar, offset); }
  uint16_t Read16(unsigned bar, uint64_t offset) override { return Load<uint16_t>(bar, offset); }
  uint32_t Read32(unsigned bar, uint64_t offset) override { return Load<uint32_t>(bar, offset); }
  void Write8(unsigned bar, uint64_t offset, uint8_t value) override { Store(bar, offset, value); }
  void Write16(unsigned bar, uint64_t offset, uint16_t value) override { Store(bar, offset, value); }
  void Write32(unsigned bar, uint64_t offset, uint32_t value) override { Store(bar, offset, value); }
  void SetBusMaster(bool on) override;
  Result<DmaMemory*> AllocateDma(size_t bytes) override;
  // Says that there are as many as wanted; none ever fires.
  Result<unsigned> EnableInterrupts(unsigned wanted) override { return wanted; }
  void SetInterruptHandler(unsigned, Handler*) override {}
  void Raise(unsigned) override {}
  void DisableInterrupts() override {}

 private:
  struct Bar {
    volatile std::byte* registers = nullptr;
    uint64_t bytes = 0;
  };

  bool Inside(unsigned bar, uint64_t offset, size_t width) const {
    return bar < bars_.size() && offset % width == 0 && offset + width <= bars_[bar].bytes;
  }
  template <class Word>
  Word Load(unsigned bar, uint64_t offset) {
    if (!Inside(bar, offset, sizeof(Word))) return static_cast<Word>(~Word{0});
    return *reinterpret_cast<volatile Word*>(bars_[bar].registers + offset);
  }
  template <class Word>
  void Store(unsigned bar, uint64_t offset, Word value) {
    if (Inside(bar, offset, sizeof(Word)))
      *reinterpret_cast<volatile Word*>(bars_[bar].registers + offset) = value;
  }

  const unsigned slot_;
  std::array<Bar, 6> bars_;
};

}  // namespace librettos::xen
