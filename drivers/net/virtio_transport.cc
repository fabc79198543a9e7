#include "drivers/net/virtio_transport.h"

#include "drivers/net/pci_capability.h"

namespace librettos::virtio {
namespace {

// Section 4.1.4: struct virtio_pci_cap.
constexpr uint32_t kCapBytes = 2, kCapType = 3, kCapBar = 4, kCapOffset = 8, kCapLength = 12,
                   kCapNotifyMultiplier = 16;
constexpr uint8_t kCommonType = 1, kNotifyType = 2, kDeviceType = 4;
// Section 4.1.4.3: struct virtio_pci_common_cfg.
constexpr uint32_t kDeviceFeatureSelect = 0x00, kDeviceFeature = 0x04, kDriverFeatureSelect = 0x08,
                   kDriverFeature = 0x0c, kConfigVector = 0x10, kDeviceStatus = 0x14, kQueueSelect = 0x16,
                   kQueueSize = 0x18, kQueueVector = 0x1a, kQueueEnable = 0x1c, kQueueNotifyOffset = 0x1e,
                   kQueueDescriptors = 0x20, kQueueDriver = 0x28, kQueueDevice = 0x30, kCommonBytes = 0x38;
constexpr Nanoseconds kResetTime = 100'000'000;  // Ours: section 2.1.2 gives none.

}  // namespace

Status Transport::Find(uint8_t type, uint32_t least_bytes, Window& window) {
  for (uint8_t at = 0;;) {
    at = pci::NextCapability(function_, pci::kVendorSpecific, at);
    if (at == 0) return Error::kIo;
    if (function_.ReadConfig(at + kCapType, 1) != type) continue;
    const uint32_t cap_bytes = function_.ReadConfig(at + kCapBytes, 1);
    const uint32_t bar = function_.ReadConfig(at + kCapBar, 1);
    window.offset = function_.ReadConfig(at + kCapOffset, 4);
    window.length = function_.ReadConfig(at + kCapLength, 4);
    // Section 4.1.4.1: what has a BAR that does not exist is to be passed over.
    if (bar > 5 || cap_bytes < kCapLength + 4 || window.length < least_bytes || window.offset % 4) continue;
    if (bar_bytes_[bar] == 0) {
      Result<uint64_t> size = function_.OpenBar(bar);
      if (!size.ok()) continue;
      bar_bytes_[bar] = *size;
    }
    if (window.offset + window.length > bar_bytes_[bar]) continue;
    if (type == kNotifyType) {
      if (cap_bytes < kCapNotifyMultiplier + 4) continue;
      notify_multiplier_ = function_.ReadConfig(at + kCapNotifyMultiplier, 4);
    }
    window.bar = static_cast<uint8_t>(bar);
    window.found = true;
    return {};
  }
}

Status Transport::FindCommon() { return Find(kCommonType, kCommonBytes, common_); }
Status Transport::FindNotify() { return Find(kNotifyType, 2, notify_); }
void Transport::FindDevice() { (void)Find(kDeviceType, 1, device_); }

void Transport::Acknowledge() {
  AddStatus(kAcknowledge);
  AddStatus(kDriver);
}

uint8_t Transport::ReadStatus() { return function_.Read8(common_.bar, common_.offset + kDeviceStatus); }

void Transport::AddStatus(uint8_t bit) {
  const uint8_t status = ReadStatus();
  function_.Write8(common_.bar, common_.offset + kDeviceStatus, status | bit);
}

Status Transport::BeginReset() {
  if (ReadStatus() == 0xff) return Error::kUnavailable;
  function_.Write8(common_.bar, common_.offset + kDeviceStatus, 0);
  reset_until_ = Now() + kResetTime;
  return {};
}

Result<bool> Transport::IsReset() {
  const uint8_t status = ReadStatus();
  if (status == 0) return true;
  if (status == 0xff) return Error::kUnavailable;
  if (Now() >= reset_until_) return Error::kIo;
  return false;
}

uint64_t Transport::OfferedFeatures() {
  SetCommon32(kDeviceFeatureSelect, 0);
  const uint64_t low = Common32(kDeviceFeature);
  SetCommon32(kDeviceFeatureSelect, 1);
  return low | static_cast<uint64_t>(Common32(kDeviceFeature)) << 32;
}

Status Transport::Accept(uint64_t features) {
  SetCommon32(kDriverFeatureSelect, 0);
  SetCommon32(kDriverFeature, static_cast<uint32_t>(features));
  SetCommon32(kDriverFeatureSelect, 1);
  SetCommon32(kDriverFeature, static_cast<uint32_t>(features >> 32));
  AddStatus(kFeaturesOk);
  return ReadStatus() & kFeaturesOk ? Status{} : Status{Error::kUnsupported};
}

uint16_t Transport::QueueSize(uint16_t queue) {
  SetCommon16(kQueueSelect, queue);
  return Common16(kQueueSize);
}

void Transport::SetCommon64(uint32_t offset, uint64_t value) {
  // Section 4.1.3.1: as two halves.
  SetCommon32(offset, static_cast<uint32_t>(value));
  SetCommon32(offset + 4, static_cast<uint32_t>(value >> 32));
}

Status Transport::EnableQueue(uint16_t queue, uint16_t size, uint64_t descriptors, uint64_t driver,
                              uint64_t device, uint16_t vector) {
  if (queue >= kQueues) return Error::kInvalidArgument;
  SetCommon16(kQueueSelect, queue);
  SetCommon16(kQueueSize, size);
  SetCommon64(kQueueDescriptors, descriptors);
  SetCommon64(kQueueDriver, driver);
  SetCommon64(kQueueDevice, device);
  SetCommon16(kQueueVector, vector);
  if (Common16(kQueueVector) != vector) return Error::kIo;
  const uint64_t at = uint64_t{Common16(kQueueNotifyOffset)} * notify_multiplier_;
  if (at % 2 || at + 2 > notify_.length) return Error::kIo;
  notify_at_[queue] = notify_.offset + at;
  SetCommon16(kQueueEnable, 1);
  return {};
}

Status Transport::SetConfigVector(uint16_t vector) {
  SetCommon16(kConfigVector, vector);
  return Common16(kConfigVector) == vector ? Status{} : Status{Error::kIo};
}

uint8_t Transport::ReadDevice8(uint32_t offset) {
  if (offset + 1 > device_.length) return 0xff;
  return function_.Read8(device_.bar, device_.offset + offset);
}

uint16_t Transport::ReadDevice16(uint32_t offset) {
  if (offset + 2 > device_.length) return 0xffff;
  return function_.Read16(device_.bar, device_.offset + offset);
}

}  // namespace librettos::virtio
