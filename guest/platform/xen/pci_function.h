// A passed-through PCI function on bus 0 (docs/xen.md, "NICs"): configuration space by ports 0xCF8 and 0xCFC
// (PCI Local Bus 3.0, section 3.2.2.3.2), BARs placed here, and interrupts as event channels.
//
// Interrupts: Xen lends a domain numbers for its interrupts (pirq). A message whose vector is 0 and whose
// address holds such a number, as in Linux's xen_msi_compose_msg, is delivered to the event channel bound to
// it; the emulated interrupt controllers have no part in it.
#pragma once

#include <array>
#include <memory>

#include "guest/platform/pci.h"
#include "guest/platform/xen/bar.h"
#include "guest/platform/xen/events.h"

namespace librettos::xen {

// Configuration space of function 0 in `slot`.
class PortConfigSpace final : public ConfigSpace {
 public:
  explicit PortConfigSpace(unsigned slot) : slot_(slot) {}
  uint32_t Read(uint32_t offset, unsigned width) override;
  void Write(uint32_t offset, unsigned width, uint32_t value) override;
  // False: nothing is in the slot.
  bool present() { return Read(0, 2) != 0xffff; }

 private:
  bool Select(uint32_t offset, unsigned width);
  unsigned slot_;
};

class XenPciFunction final : public PciFunction {
 public:
  static constexpr unsigned kMaxVectors = 16;

  XenPciFunction(unsigned slot, Events& events, BarWindow& window)
      : config_(slot), events_(events), window_(window) {}
  // Stops it: no DMA, no interrupts, no decoding.
  ~XenPciFunction();

  uint32_t ReadConfig(uint32_t offset, unsigned width) override { return config_.Read(offset, width); }
  void WriteConfig(uint32_t offset, unsigned width, uint32_t value) override {
    config_.Write(offset, width, value);
  }
  Result<uint64_t> OpenBar(unsigned bar) override;
  uint8_t Read8(unsigned bar, uint64_t offset) override { return Load<uint8_t>(bar, offset); }
  uint16_t Read16(unsigned bar, uint64_t offset) override { return Load<uint16_t>(bar, offset); }
  uint32_t Read32(unsigned bar, uint64_t offset) override { return Load<uint32_t>(bar, offset); }
  void Write8(unsigned bar, uint64_t offset, uint8_t value) override { Store(bar, offset, value); }
  void Write16(unsigned bar, uint64_t offset, uint16_t value) override { Store(bar, offset, value); }
  void Write32(unsigned bar, uint64_t offset, uint32_t value) override { Store(bar, offset, value); }
  void SetBusMaster(bool on) override { SetCommand(kBusMaster, on); }
  Result<DmaMemory*> AllocateDma(size_t bytes) override;
  Result<unsigned> EnableInterrupts(unsigned wanted) override;
  void SetInterruptHandler(unsigned vector, Handler* handler) override;
  void Raise(unsigned vector) override;
  void DisableInterrupts() override;

 private:
  static constexpr uint32_t kBusMaster = 1u << 2;
  struct Bar {
    volatile std::byte* registers = nullptr;
    uint64_t size = 0;
    uint64_t address = 0;
  };
  // One interrupt: Xen's number, its event channel, and whether each is to be acknowledged.
  struct Vector final : Handler {
    void OnEvent() override;
    Handler* handler = nullptr;
    uint32_t pirq = 0;
    evtchn_port_t port = 0;
    bool acknowledge = false;
  };

  template <class Word>
  Word Load(unsigned bar, uint64_t offset);
  template <class Word>
  void Store(unsigned bar, uint64_t offset, Word value);
  void SetCommand(uint32_t bits, bool on);
  Result<uint64_t> SizeAndPlace(unsigned bar);
  uint32_t FindCapability(uint8_t id);
  Result<unsigned> EnableMsix(uint32_t capability, unsigned wanted);
  Result<unsigned> EnableMsi(uint32_t capability);
  bool AddVector();
  Status BindVectors();

  PortConfigSpace config_;
  Events& events_;
  BarWindow& window_;
  std::array<Bar, kBars> bars_;
  std::array<Vector, kMaxVectors> vectors_;
  unsigned vector_count_ = 0;
  uint32_t enabled_at_ = 0;  // The capability's control register; 0: interrupts are off.
  uint16_t enable_bit_ = 0;
};

}  // namespace librettos::xen
