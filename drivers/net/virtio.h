// A virtio network device, modern, over PCI. Virtual I/O Device 1.1, section 5.1.
//
// One pair of split queues, no control queue: the device's address filter is not set, and it gives all that
// it gets. Checksums, segmentation and large receive are used as far as the device offers them. With three
// MSI-X vectors: receive, transmit, link; with two: queues, link; with one: all.
#pragma once

#include "drivers/net/pci_nic.h"
#include "drivers/net/virtio_queue.h"

namespace librettos {

class VirtioNic final : public PciNic {
 public:
  static bool Drives(uint32_t vendor, uint32_t device);
  // kInvalidArgument: not a PCI function, or an MTU above 9000. Of a step, kUnavailable: it was withdrawn;
  // kIo: it is not as the specification says; kUnsupported: not modern, no interrupts, or too small for the
  // MTU. `device.address` of zeros: the device's own is used.
  static Result<NicOpening*> Open(const Device& device);
  ~VirtioNic() override;

  NicFeatures features() const override;

 private:
  // What is to be done, or waited for, next.
  enum class Stage { kCommon, kNotify, kDevice, kReset, kFeatures };

  explicit VirtioNic(const Device& device);
  Status ChooseFeatures();
  Result<bool> PrepareStep() override;
  Status AllocateInterrupts() override;
  Status Start() override;
  bool StopStep() override;
  Status OpenQueues();
  void OfferBuffer();
  // Used entries that make up the next frame, if all are there; 0: they are not.
  uint16_t NextFrame();
  void CheckQueues();

  void Reclaim() override;
  Sent Put(const OutFrame& frame) override;
  void PublishSent() override;
  Got Take(InFrame& frame) override;
  void PublishTaken() override;
  bool FrameReady() override;
  bool RoomReady() override { return transmit_.free() >= transmit_.size() / 4; }
  bool Idle() override { return transmit_.free() == transmit_.size(); }
  void Arm(bool room) override;
  void Disarm() override;
  Link ReadLink() override;
  void OnInterrupt(bool armed) override;
  uint32_t ReceiveBudget() const override { return receive_.size(); }

  virtio::Transport transport_;
  virtio::Queue receive_;
  virtio::Queue transmit_;
  uint64_t features_ = 0;
  Stage stage_ = Stage::kCommon;
  bool stopping_ = false;
};

}  // namespace librettos
