// The Intel 82574L, a gigabit NIC, and what QEMU calls e1000e. 82574 datasheet, revision 3.4.
//
// Computes checksums, segments TCP, verifies received checksums; no large receive. Frames are copied into and
// out of buffers that were allocated at the start; a frame that the offloads cannot do is refused
// (tx_errors). One pair of queues. With MSI-X vector 0 is the queues' and vector 1 the link's; with MSI one
// is for all.
//
// Address filter: the own address, broadcast, and groups, of which the first 15 have exact filters and the
// others share the hash table; promiscuous: everything.
#pragma once

#include "drivers/net/e1000e_receive.h"
#include "drivers/net/e1000e_transmit.h"
#include "drivers/net/moderation.h"
#include "drivers/net/pci_nic.h"

namespace librettos {

class E1000eNic final : public PciNic {
 public:
  static bool Drives(uint32_t vendor, uint32_t device);
  // kInvalidArgument: not a PCI function, or an MTU above 9000. Of a step, kUnavailable: it was withdrawn;
  // kIo: it does not answer as an 82574 does; kUnsupported: no interrupts. `device.address` of zeros: the
  // NIC's own is used.
  static Result<NicOpening*> Open(const Device& device);
  ~E1000eNic() override;

  NicFeatures features() const override { return {.checksum = true, .segmentation = true}; }
  void SetPromiscuous(bool on) override;
  void SetGroups(std::span<const MacAddress> groups) override;

 private:
  // What is to be done, or waited for, next.
  enum class Stage { kRegisters, kLink, kMemory, kReset };
  enum class Reset { kQueues, kMaster, kDevice, kEeprom };

  explicit E1000eNic(const Device& device);
  void Await(Reset what, Nanoseconds time);
  Status OpenRegisters();
  Status AllocateMemory();
  Status BeginReset();
  // A step of making the device as a reset leaves it, without a frame or an interrupt under way. True: so it
  // is. kUnavailable: it is gone; kIo: it does not reset.
  Result<bool> ResetStep();
  Result<bool> PrepareStep() override;
  Status AllocateInterrupts() override;
  Status Start() override;
  bool StopStep() override;
  void SetStation();
  void SetAddressFilter(uint32_t index, const MacAddress* mac);
  void EnableInterrupts();
  void StopQueues();
  void DisableMaster();

  void Reclaim() override { transmit_.Reclaim(); }
  Sent Put(const OutFrame& frame) override;
  void PublishSent() override { transmit_.Publish(function_); }
  Got Take(InFrame& frame) override;
  void PublishTaken() override { receive_.Publish(function_); }
  bool FrameReady() override { return receive_.Ready(); }
  bool RoomReady() override { return transmit_.free() >= e1000e::TransmitRing::kDescriptors / 4; }
  bool Idle() override { return transmit_.idle(); }
  void Arm(bool room) override;
  void Disarm() override;
  Link ReadLink() override;
  void OnInterrupt(bool armed) override;
  void OnLink() override;
  uint32_t ReceiveBudget() const override { return e1000e::ReceiveRing::kDescriptors; }

  uint32_t Read(uint32_t offset) { return function_.Read32(0, offset); }
  void Write(uint32_t offset, uint32_t value) { function_.Write32(0, offset, value); }

  e1000e::TransmitRing transmit_;
  e1000e::ReceiveRing receive_;
  Moderation moderation_;
  Stage stage_ = Stage::kRegisters;
  Reset reset_ = Reset::kQueues;
  Nanoseconds deadline_ = 0;  // Of what is waited for.
  uint64_t moved_ = 0;        // Frames, until the last interrupt.
  bool opened_ = false;       // The device's registers are there.
  bool stopping_ = false;
  bool msi_x_ = false;
};

}  // namespace librettos
