// A QEMU that emulates a PCI device for a driver in this process: no guest runs in it.
//
// Its processor halts at once. Registers are reached by QEMU's own test protocol (docs/devel/testing,
// "qtest"), its RAM is mapped here, and so the device's DMA is memory of this process. Its MSI-X messages are
// sent into RAM, too, where Poll finds them, in the place of Loop::Wait.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "guest/platform/pci.h"

namespace librettos::fake {

class QemuMachine final : public PciFunction {
 public:
  // `device`: what -device says, without id and address. `tap`: an open TAP for it. Null: no QEMU here that
  // can.
  static std::unique_ptr<QemuMachine> Start(const std::string& device, int tap, bool msi_x);
  ~QemuMachine();

  // Pulls the cable of the device, or plugs it in.
  void SetLink(bool up);
  // Stops the machine, or lets it go on: a virtio device looks at no queue meanwhile.
  void SetStopped(bool stopped) { Monitor(stopped ? "stop" : "cont"); }
  // Waits until QEMU's main loop went around a few times.
  void Sync();
  // Calls the handlers of vectors that fired, and waits for that, but not for long. True: of any.
  bool Poll();
  uint64_t fired() {
    Collect();
    return fired_;
  }
  size_t dma_blocks() const { return blocks_.size(); }
  bool bus_master() { return ReadConfig(4, 2) & 4; }

  // ---- PciFunction
  uint32_t ReadConfig(uint32_t offset, unsigned width) override;
  void WriteConfig(uint32_t offset, unsigned width, uint32_t value) override;
  Result<uint64_t> OpenBar(unsigned bar) override;
  uint8_t Read8(unsigned bar, uint64_t offset) override {
    return static_cast<uint8_t>(Read(bar, offset, 'b'));
  }
  uint16_t Read16(unsigned bar, uint64_t offset) override {
    return static_cast<uint16_t>(Read(bar, offset, 'w'));
  }
  uint32_t Read32(unsigned bar, uint64_t offset) override { return Read(bar, offset, 'l'); }
  void Write8(unsigned bar, uint64_t offset, uint8_t value) override { Write(bar, offset, 'b', value); }
  void Write16(unsigned bar, uint64_t offset, uint16_t value) override { Write(bar, offset, 'w', value); }
  void Write32(unsigned bar, uint64_t offset, uint32_t value) override { Write(bar, offset, 'l', value); }
  void SetBusMaster(bool on) override;
  Result<DmaMemory*> AllocateDma(size_t bytes) override;
  Result<unsigned> EnableInterrupts(unsigned wanted) override;
  void SetInterruptHandler(unsigned vector, Handler* handler) override;
  void Raise(unsigned vector) override;
  void DisableInterrupts() override;

 private:
  class Block;
  struct Vector {
    Handler* handler = nullptr;
    bool due = false;
  };

  QemuMachine() = default;
  bool StartProcess(const std::string& device, int tap);
  std::string Command(const std::string& command);
  void Monitor(const std::string& command, const std::string& arguments = "");
  std::string Line(int socket, std::string& rest);
  uint32_t Read(unsigned bar, uint64_t offset, char width);
  void Write(unsigned bar, uint64_t offset, char width, uint32_t value);
  bool Inside(unsigned bar, uint64_t offset, char width);
  void Collect();
  bool Deliver();

  std::string directory_;
  pid_t process_ = -1;
  int protocol_ = -1, monitor_ = -1;
  std::string protocol_rest_, monitor_rest_;
  std::byte* ram_ = nullptr;
  struct Bar {
    uint64_t address = 0, bytes = 0;
  };
  std::array<Bar, 6> bars_;
  uint64_t next_bar_ = 0xe000'0000;
  std::map<uint64_t, std::unique_ptr<Block>> blocks_;
  bool msi_x_ = true;
  uint32_t enabled_at_ = 0;
  std::vector<Vector> vectors_;
  uint64_t fired_ = 0;
};

}  // namespace librettos::fake
