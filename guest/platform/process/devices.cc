#include "guest/platform/process/devices.h"

#include <string.h>

namespace librettos::process {

ProcessDevices::~ProcessDevices() {
  for (const Held& held : held_) close(held.device.descriptor);
}

void ProcessDevices::SetObserver(DeviceObserver* observer) {
  observer_ = observer;
  for (Held& held : held_) held.told = false;
  if (observer_ && !held_.empty()) loop_.RunSoon(this);
}

void ProcessDevices::Return(std::string_view name) {
  for (auto it = held_.begin(); it != held_.end(); ++it) {
    if (name != it->device.name) continue;
    returned_.push_back({std::string(name), it->giving});  // `name` may lie in what is erased.
    loop_.Remove(it->device.descriptor);
    close(it->device.descriptor);
    held_.erase(it);
    Declare(returned_.back());
    return;
  }
}

void ProcessDevices::Declare(const Returned& returned) {
  control_.Send({.type = WireType::kReturnDevice, .number = returned.giving, .path = returned.name});
}

void ProcessDevices::Redeclare() {
  for (const Returned& returned : returned_) Declare(returned);
  for (const Held& held : held_) {
    control_.Send({.type = WireType::kHolding,
                   .number = held.giving,
                   .path = held.device.name,
                   .descriptors = {held.device.descriptor, -1}});
  }
}

bool ProcessDevices::OnDevice(InMessage& message) {
  Device device{};
  if (message.path.empty() || message.path.size() >= sizeof(device.name) ||
      message.path.find('\0') != std::string_view::npos || message.value.size() != sizeof(device.address) ||
      message.header.a != static_cast<uint32_t>(DeviceKind::kTap) || message.descriptor_count != 1 ||
      message.header.b == 0 || message.header.b > 65535) {
    return false;
  }
  std::erase_if(returned_, [&](const Returned& returned) { return message.path == returned.name; });
  for (Held& held : held_) {
    if (message.path != held.device.name) continue;
    // A daemon that does not know yet that we hold it; the one we have is the same device.
    held.giving = message.header.number;
    return true;
  }
  memcpy(device.name, message.path.data(), message.path.size());
  memcpy(device.address, message.value.data(), sizeof(device.address));
  device.kind = DeviceKind::kTap;
  device.mtu = static_cast<uint32_t>(message.header.b);
  device.descriptor = message.descriptors[0].Release();
  held_.push_back({device, message.header.number, false});
  loop_.RunSoon(this);
  return true;
}

void ProcessDevices::OnEvent() {
  // An observer may return devices from within the call.
  for (size_t i = 0; observer_ && i < held_.size();) {
    if (held_[i].told) {
      ++i;
      continue;
    }
    held_[i].told = true;
    const Device device = held_[i].device;
    observer_->OnDevice(device);
    i = 0;
  }
}

}  // namespace librettos::process
