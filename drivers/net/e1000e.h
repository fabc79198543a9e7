// The Intel 82574L, a gigabit NIC, and what QEMU calls e1000e. 82574 datasheet, revision 3.4.
//
// Computes checksums, segments TCP, verifies received checksums; no large receive. Frames are copied into and
// out of buffers that were allocated at the start; a frame that the offloads cannot do is refused
// (tx_errors). One pair of queues. With MSI-X vector 0 is the queues' and vector 1 the link's; with MSI one
// is for all.
//
// Address filter: the own address, broadcast, and all groups (multicast promiscuous: Nic does not know the
// groups; the stack drops what it has not joined). Open() waits for the device's reset, some milliseconds,
// and the destructor some for what is still to be sent.
#pragma once

#include "drivers/net/e1000e_receive.h"
#include "drivers/net/e1000e_transmit.h"
#include "drivers/net/moderation.h"
#include "drivers/net/pci_nic.h"

namespace librettos {

class E1000eNic final : public PciNic {
 public:
  static bool Drives(uint32_t vendor, uint32_t device);
  // kInvalidArgument: not a PCI function, or an MTU above 9000. kUnavailable: it was withdrawn. kIo: it does
  // not answer as an 82574 does. kUnsupported: no interrupts. `device.address` of zeros: the NIC's own is
  // used.
  static Result<Nic*> Create(const Device& device);
  ~E1000eNic() override;

  NicFeatures features() const override { return {.checksum = true, .segmentation = true}; }
  void SetPromiscuous(bool on) override;

 private:
  explicit E1000eNic(const Device& device);
  Status Open(const Device& device);
  Status Reset();
  void SetStation(const Device& device);
  void EnableInterrupts();
  void StopQueues();

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
  uint64_t moved_ = 0;   // Frames, until the last interrupt.
  bool opened_ = false;  // The device's registers are there.
  bool msi_x_ = false;
  unsigned vectors_ = 0;
};

}  // namespace librettos
