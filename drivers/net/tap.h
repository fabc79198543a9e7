// A NIC that is a Linux TAP interface, by its open descriptor.
//
// What the daemon set up before it handed the descriptor over: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
// O_NONBLOCK, a vnet header of 10 bytes (struct virtio_net_hdr, host byte order), TUNSETOFFLOAD with
// TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6. The driver itself makes no ioctl, so that it works below the sandbox.
//
// The descriptor stays the device's: it is not closed here. One system call moves one frame; TAP has no more
// than that.
#pragma once

#include "drivers/net/nic.h"
#include "guest/platform/process/descriptor_loop.h"

namespace librettos {

class TapNic final : public Nic, private Handler {
 public:
  // kInvalidArgument: not a TAP device or no descriptor. `loop` outlives the Nic.
  static Result<Nic*> Create(process::DescriptorLoop& loop, const Device& device);
  ~TapNic() override;

  MacAddress address() const override { return address_; }
  uint32_t mtu() const override { return mtu_; }
  NicFeatures features() const override {
    return {.checksum = true, .segmentation = true, .large_receive = true};
  }
  const NicCounters& counters() const override { return counters_; }
  size_t Transmit(std::span<const OutFrame> frames) override;
  size_t Send(std::span<const OutFrame> frames) override;
  size_t Receive(std::span<InFrame> frames) override;
  void SetHandler(Handler* handler) override;

 private:
  enum class Sent { kTaken, kRefused, kFull };

  TapNic(process::DescriptorLoop& loop, const Device& device);
  void OnEvent() override;
  void Watch();
  Sent SendOne(const OutFrame& frame);

  process::DescriptorLoop& loop_;
  const int descriptor_;
  MacAddress address_;
  const uint32_t mtu_;
  NicCounters counters_;
  Handler* handler_ = nullptr;
  bool awaiting_room_ = false;
  bool gone_ = false;  // The interface was removed below us.
};

}  // namespace librettos
