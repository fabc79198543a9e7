// A model of a modern virtio network device over PCI for unit tests, after Virtual I/O Device 1.1. What a
// driver must not do is noted in Complaints().
#pragma once

#include <array>
#include <deque>
#include <set>
#include <vector>

#include "drivers/net/testing/fake_pci.h"
#include "drivers/net/testing/nic_bench.h"

namespace librettos::fake {

class VirtioModel final : public NicBench, private PciModel {
 public:
  // Section 5.1.3 and 6: all that the driver knows, and one that it does not.
  static constexpr uint64_t kAllFeatures = 1ull << 0 | 1ull << 1 | 1ull << 5 | 1ull << 7 | 1ull << 8 |
                                           1ull << 11 | 1ull << 12 | 1ull << 15 | 1ull << 16 | 1ull << 22 |
                                           1ull << 29 | 1ull << 32;
  static constexpr MacAddress kOwnAddress = {0x52, 0x54, 0, 0x65, 0x43, 0x21};

  VirtioModel(uint64_t features, unsigned vectors, uint16_t queue_size = 256);

  FakePci& pci() { return pci_; }
  uint64_t accepted() const { return accepted_; }
  // A large frame that the host has not cut.
  void DeliverWhole(const Frame& frame, const Offload& offload);
  // ---- Misbehaviour
  enum class Bad { kNone, kUsedId, kUsedIndex, kUsedTwice, kLength, kBuffers, kChecksumStart, kNoReset };
  void SetBad(Bad bad) { bad_ = bad; }
  void SetNeedsReset() { status_ |= 64; }
  void SetFeaturesRefused() { features_refused_ = true; }

  // ---- NicBench
  Result<Nic*> Open(const MacAddress& address, uint32_t mtu) override;
  std::vector<Frame> TakeSent() override { return std::exchange(sent_, {}); }
  void Deliver(const Frame& frame) override { DeliverWhole(frame, {}); }
  void SetHold(bool hold) override;
  void SetLink(bool up) override;
  void Withdraw() override { pci_.Withdraw(); }
  bool Wait() override { return pci_.Poll(); }
  uint64_t interrupts() const override { return pci_.fired(); }
  std::string Complaints() const override;
  bool Quiet() const override;
  bool filters() const override { return false; }

 private:
  static constexpr uint16_t kNoVector = 0xffff;
  struct Queue {
    uint16_t size = 0, vector = kNoVector;
    bool enabled = false;
    uint64_t descriptors = 0, driver = 0, device = 0;
    uint16_t taken = 0, used = 0;  // Of the available ring; the used index.
  };
  struct Piece {
    std::byte* data;
    uint32_t bytes;
  };
  struct Chain {
    uint16_t head;
    std::vector<Piece> pieces;
  };

  uint32_t Read(unsigned bar, uint64_t offset, unsigned width) override;
  void Write(unsigned bar, uint64_t offset, unsigned width, uint32_t value) override;
  uint32_t ReadCommon(uint32_t offset);
  void WriteCommon(uint32_t offset, uint32_t value);
  void Reset();
  bool Has(unsigned feature) const { return accepted_ >> feature & 1; }
  template <class T>
  T Load(uint64_t at);
  template <class T>
  void Store(uint64_t at, T value);
  bool Next(Queue& queue, bool write, Chain& chain);
  uint16_t AvailableIndex(const Queue& queue);
  void Use(Queue& queue, uint16_t head, uint32_t length);
  void PublishUsed(Queue& queue, uint16_t before);
  void WantNotification(Queue& queue);
  void Send();
  void SendChain(const Chain& chain);
  void ReceiveWaiting();
  bool ReceiveOne(const Frame& frame, const Offload& offload);
  void Complain(const std::string& what) { complaints_.insert(what); }

  FakePci pci_;
  Device device_{};
  const uint64_t features_;
  const uint16_t queue_size_;
  uint64_t accepted_ = 0;
  uint32_t device_select_ = 0, driver_select_ = 0;
  uint16_t config_vector_ = kNoVector, selected_ = 0;
  uint8_t status_ = 0;
  std::array<Queue, 2> queues_;
  bool link_up_ = true, hold_ = false, features_refused_ = false;
  Bad bad_ = Bad::kNone;
  std::vector<Frame> sent_;
  std::deque<std::pair<Frame, Offload>> arriving_;
  std::set<std::string> complaints_;
};

}  // namespace librettos::fake
