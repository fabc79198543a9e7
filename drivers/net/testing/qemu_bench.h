// A NIC that QEMU emulates, its wire a TAP interface in a network namespace of this process's own.
#pragma once

#include <functional>

#include "drivers/net/testing/nic_bench.h"
#include "drivers/net/testing/qemu_machine.h"

namespace librettos::fake {

class QemuBench final : public NicBench {
 public:
  using Driver = Result<Nic*> (*)(const Device&);

  // `device`: QEMU's name of it, with options. Check missing() before anything else.
  // Whether the device filters addresses; and whether it sends nothing while the machine is stopped.
  struct Traits {
    bool filters = false, can_hold = false;
  };
  QemuBench(const std::string& device, Driver driver, const Traits& traits, bool msi_x = true);
  ~QemuBench() override;

  // A large frame that the host has not cut.
  void DeliverWhole(const Frame& frame, const Offload& offload);

  std::string missing() const override { return missing_; }
  Result<Nic*> Open(const MacAddress& address, uint32_t mtu) override;
  std::vector<Frame> TakeSent() override;
  void Deliver(const Frame& frame) override { DeliverWhole(frame, {}); }
  void Sync() override;
  Nanoseconds patience() const override { return 5'000'000'000; }
  void SetHold(bool hold) override {
    if (can_hold_) machine_->SetStopped(hold);
  }
  void SetLink(bool up) override { machine_->SetLink(up); }
  void Withdraw() override {}
  bool Wait() override { return machine_->Poll(); }
  uint64_t interrupts() const override { return machine_->fired(); }
  std::string Complaints() const override { return error_; }
  bool Quiet() const override { return !machine_->bus_master() && machine_->dma_blocks() == 0; }
  bool can_hold() const override { return can_hold_; }
  bool can_withdraw() const override { return false; }
  bool filters() const override { return filters_; }

 private:
  std::string OpenWire();
  uint64_t ReadByNic() const;  // Frames that QEMU read from the TAP.

  const Driver driver_;
  const bool filters_, can_hold_;
  std::string missing_, error_;
  std::unique_ptr<QemuMachine> machine_;
  Device device_{};
  int tap_ = -1, wire_ = -1;
  uint64_t delivered_ = 0;
};

}  // namespace librettos::fake
