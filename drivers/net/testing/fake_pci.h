// A PCI function for unit tests: configuration space, DMA memory and interrupts; the device behind it is a
// model.
//
// DMA memory lies at bus addresses that are no pointers, and is checked: an access outside of it, after its
// release, or without bus mastering does nothing and is counted in faults(). Interrupts are delivered by
// Poll, in the place of Loop::Wait.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "guest/platform/pci.h"

namespace librettos::fake {

// Registers of a model, little endian. `offset` is aligned and within the BAR.
class PciModel {
 public:
  virtual ~PciModel() = default;
  virtual uint32_t Read(unsigned bar, uint64_t offset, unsigned width) = 0;
  virtual void Write(unsigned bar, uint64_t offset, unsigned width, uint32_t value) = 0;
};

class FakePci final : public PciFunction {
 public:
  FakePci(uint16_t vendor, uint16_t device, std::map<unsigned, uint64_t> bars);
  ~FakePci();

  // ---- For the model and the test.
  void SetModel(PciModel* model) { model_ = model; }
  // Appends a capability to the list; its content behind id and next pointer. Returns its offset.
  uint8_t AddCapability(uint8_t id, std::vector<uint8_t> content);
  std::array<uint8_t, 256>& config() { return config_; }
  // How many vectors there are, of MSI-X or MSI. None: neither.
  void SetInterrupts(bool msi_x, unsigned vectors);
  bool msi_x_enabled() const { return enabled_ > 0 && msi_x_; }
  // Reads as all ones from now on, and does nothing.
  void Withdraw() { withdrawn_ = true; }
  bool withdrawn() const { return withdrawn_; }
  // Of the device; nullptr: it cannot reach that.
  std::byte* Dma(uint64_t bus_address, size_t bytes);
  void Fire(unsigned vector);
  // Calls the handlers of vectors that fired. True: of any.
  bool Poll();
  bool pending() const;
  uint64_t fired() const { return fired_; }  // Messages sent, not those raised by the driver.
  uint64_t faults() const { return faults_; }
  bool bus_master() const { return bus_master_; }
  bool interrupts_enabled() const { return enabled_ > 0; }
  size_t dma_blocks() const { return blocks_.size(); }
  std::vector<std::span<std::byte>> DmaBlocks();
  // After so many more AllocateDma fails.
  void LimitDma(size_t blocks) { dma_limit_ = blocks; }

  // ---- PciFunction
  uint32_t ReadConfig(uint32_t offset, unsigned width) override;
  void WriteConfig(uint32_t offset, unsigned width, uint32_t value) override;
  Result<uint64_t> OpenBar(unsigned bar) override;
  uint8_t Read8(unsigned bar, uint64_t offset) override { return static_cast<uint8_t>(Read(bar, offset, 1)); }
  uint16_t Read16(unsigned bar, uint64_t offset) override {
    return static_cast<uint16_t>(Read(bar, offset, 2));
  }
  uint32_t Read32(unsigned bar, uint64_t offset) override { return Read(bar, offset, 4); }
  void Write8(unsigned bar, uint64_t offset, uint8_t value) override { Write(bar, offset, 1, value); }
  void Write16(unsigned bar, uint64_t offset, uint16_t value) override { Write(bar, offset, 2, value); }
  void Write32(unsigned bar, uint64_t offset, uint32_t value) override { Write(bar, offset, 4, value); }
  void SetBusMaster(bool on) override { bus_master_ = on; }
  Result<DmaMemory*> AllocateDma(size_t bytes) override;
  Result<unsigned> EnableInterrupts(unsigned wanted) override;
  void SetInterruptHandler(unsigned vector, Handler* handler) override;
  void Raise(unsigned vector) override;
  void DisableInterrupts() override;

 private:
  class Block;
  struct Vector {
    Handler* handler = nullptr;
    bool pending = false;
  };

  uint32_t Read(unsigned bar, uint64_t offset, unsigned width);
  void Write(unsigned bar, uint64_t offset, unsigned width, uint32_t value);
  bool Reaches(unsigned bar, uint64_t offset, unsigned width);

  PciModel* model_ = nullptr;
  std::array<uint8_t, 256> config_{};
  uint8_t last_capability_ = 0, next_capability_ = 0x40, msi_x_capability_ = 0;
  std::map<unsigned, uint64_t> bars_;
  std::map<unsigned, bool> open_;
  std::map<uint64_t, std::unique_ptr<Block>> blocks_;
  uint64_t next_bus_address_ = 0x1'2345'0000;
  size_t dma_limit_ = SIZE_MAX;
  bool msi_x_ = true;
  unsigned offered_ = 4, enabled_ = 0;
  std::vector<Vector> vectors_;
  bool bus_master_ = false, withdrawn_ = false;
  uint64_t fired_ = 0, faults_ = 0;
};

}  // namespace librettos::fake
