// A modern virtio device behind PCI: its capabilities, features and queues' registration.
// Virtual I/O Device 1.1, sections 3.1.1 (initialisation), 4.1.4 (PCI capabilities).
//
// The capabilities, and all that the registers read, are the device's and hostile: a structure lies within
// its BAR or the device is refused.
#pragma once

#include <cstdint>

#include "guest/platform/pci.h"

namespace librettos::virtio {

inline constexpr uint32_t kVendor = 0x1af4;

// Section 6.
inline constexpr uint64_t kEventIndex = 1ull << 29;
inline constexpr uint64_t kVersion1 = 1ull << 32;
inline constexpr uint64_t kAccessPlatform = 1ull << 33;

// Section 2.1.
inline constexpr uint8_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64,
                         kFailed = 128;

class Transport {
 public:
  explicit Transport(PciFunction& function) : function_(function) {}

  // The structures, to be found first, and in this order. kIo: not there, or not as it must be.
  Status FindCommon();
  Status FindNotify();
  void FindDevice();                            // Not every device has one.
  bool found() const { return common_.found; }  // What a reset needs.
  // kUnavailable: withdrawn.
  Status BeginReset();
  // Whether it is done. kIo: not in time. kUnavailable: withdrawn.
  Result<bool> IsReset();
  // After the reset: a driver is there.
  void Acknowledge();
  uint64_t OfferedFeatures();
  // kUnsupported: the device refused.
  Status Accept(uint64_t features);
  // The size the device would like, 0: there is no such queue.
  uint16_t QueueSize(uint16_t queue);
  // Sections 4.1.5.1.2 and 4.1.5.1.3. `vector`: the MSI-X vector. kIo: the device did not take that.
  Status EnableQueue(uint16_t queue, uint16_t size, uint64_t descriptors, uint64_t driver, uint64_t device,
                     uint16_t vector);
  Status SetConfigVector(uint16_t vector);
  void DriverOk() { AddStatus(kDriverOk); }
  // 0xff: withdrawn.
  uint8_t ReadStatus();

  // Tells the device of new buffers in an enabled queue.
  void Notify(uint16_t queue) { function_.Write16(notify_.bar, notify_at_[queue], queue); }
  // Of the device-specific structure; out of it: all ones.
  uint8_t ReadDevice8(uint32_t offset);
  uint16_t ReadDevice16(uint32_t offset);

 private:
  static constexpr uint16_t kQueues = 2;

  struct Window {
    uint8_t bar = 0;
    bool found = false;
    uint64_t offset = 0;  // In the BAR.
    uint32_t length = 0;
  };

  Status Find(uint8_t type, uint32_t least_bytes, Window& window);
  void AddStatus(uint8_t bit);
  uint32_t Common32(uint32_t offset) { return function_.Read32(common_.bar, common_.offset + offset); }
  uint16_t Common16(uint32_t offset) { return function_.Read16(common_.bar, common_.offset + offset); }
  void SetCommon32(uint32_t offset, uint32_t value) {
    function_.Write32(common_.bar, common_.offset + offset, value);
  }
  void SetCommon16(uint32_t offset, uint16_t value) {
    function_.Write16(common_.bar, common_.offset + offset, value);
  }
  void SetCommon64(uint32_t offset, uint64_t value);

  PciFunction& function_;
  Window common_, notify_, device_;
  uint32_t notify_multiplier_ = 0;
  uint64_t notify_at_[kQueues] = {};
  uint64_t bar_bytes_[6] = {};  // Of open BARs.
  Nanoseconds reset_until_ = 0;
};

}  // namespace librettos::virtio
