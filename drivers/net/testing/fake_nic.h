// A NIC without a wire, for unit tests.
//
// The test puts frames in with Inject and finds what was sent in sent(). The handler is called by Poll (once,
// if there is something to receive or room again), which a test calls between rounds of its world.
//
// With //drivers/net/testing:open_fake linked in, OpenNic gives access to the FakeNic that was registered
// under the device's name; the FakeNic stays the test's.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "drivers/net/nic_opening.h"

namespace librettos::fake {

struct NicFrame {
  std::vector<std::byte> bytes;
  Offload offload;
};

class FakeNic final : public Nic {
 public:
  explicit FakeNic(MacAddress address = {2, 0, 0, 0, 0, 0xff}, uint32_t mtu = 1500)
      : address_(address), mtu_(mtu) {}

  // ---- For the test.
  void SetFeatures(const NicFeatures& features) { features_ = features; }
  // How many more frames Transmit takes until more room is made.
  void SetRoom(size_t frames) {
    std::lock_guard lock(sending_);
    room_ = frames;
  }
  void Inject(std::vector<std::byte> frame, const Offload& offload = {}) {
    arrived_.push_back({std::move(frame), offload});
  }
  // Called whenever Transmit has taken frames; may throw, for a domain that dies right then.
  void SetTransmitted(std::function<void()> transmitted) { transmitted_ = std::move(transmitted); }
  bool promiscuous() const { return promiscuous_; }
  const std::vector<MacAddress>& groups() const { return groups_; }
  size_t waiting() const { return arrived_.size(); }
  // Nobody's frames are taken while this lives: the senders stand still.
  std::unique_lock<std::mutex> StopSending() { return std::unique_lock(sending_); }
  // While nobody sends.
  std::vector<NicFrame>& sent() { return sent_; }
  // True if the handler was called.
  bool Poll();

  // ---- Nic.
  MacAddress address() const override { return address_; }
  uint32_t mtu() const override { return mtu_; }
  NicFeatures features() const override { return features_; }
  const NicCounters& counters() const override { return counters_; }
  size_t Transmit(std::span<const OutFrame> frames) override;
  size_t Send(std::span<const OutFrame> frames) override { return Transmit(frames); }
  size_t Receive(std::span<InFrame> frames) override;
  void SetHandler(Handler* handler) override { handler_ = handler; }
  void SetPromiscuous(bool on) override { promiscuous_ = on; }
  void SetGroups(std::span<const MacAddress> groups) override {
    groups_.assign(groups.begin(), groups.end());
  }

 private:
  MacAddress address_;
  uint32_t mtu_;
  NicFeatures features_{.checksum = true, .segmentation = true, .large_receive = true};
  NicCounters counters_;
  std::mutex sending_;
  size_t room_ = SIZE_MAX;
  bool was_full_ = false;
  bool promiscuous_ = false;
  std::vector<MacAddress> groups_;
  std::deque<NicFrame> arrived_;
  std::vector<NicFrame> sent_;
  Handler* handler_ = nullptr;
  std::function<void()> transmitted_;
};

// For open_fake: OpenNic of a device called `name` reaches `nic` until it is registered again (nullptr:
// none).
void RegisterNic(const std::string& name, FakeNic* nic);
// How many Nics from OpenNic, and openings, are not yet deleted.
int OpenNics();
// How many steps of an opening answer that it is not done; of those that are begun from now on.
void SetOpeningSteps(uint64_t steps);
// The same of a closing.
void SetClosingSteps(uint64_t steps);

}  // namespace librettos::fake
