#include "guest/platform/xen/devices.h"

#include <algorithm>
#include <cstring>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/nic_key.h"

namespace librettos::xen {
namespace {

// One bit for each slot: domain 0 wants it back; and: it may have it. 32 bits.
constexpr uint16_t kEjectWanted = 0xae04, kEject = 0xae08;
constexpr Nanoseconds kPollInterval = 10'000'000, kIdleInterval = 1'000'000'000;

}  // namespace

Status XenDevices::Start(std::string_view base) {
  given_ = std::string(base) + "/device/nic/";
  returned_ = std::string(base) + "/data/nic/";
  Poll();
  return registry_.Watch(std::string_view(given_).substr(0, given_.size() - 1), this);
}

std::string XenDevices::ReturnPath(std::string_view name) const { return returned_ + std::string(name); }

XenDevices::Entry* XenDevices::Find(std::string_view name) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return name == entry->device.name; });
  return found == entries_.end() ? nullptr : found->get();
}

void XenDevices::OnKey(std::string_view path, std::string_view value, bool present) {
  if (path.size() <= given_.size()) return;
  const std::string_view name = path.substr(given_.size());
  if (present) return Expect(name, value);
  // What is held stays so until it is returned.
  std::erase_if(entries_, [&](const auto& entry) {
    return name == entry->device.name && entry->state == State::kExpected;
  });
}

void XenDevices::Expect(std::string_view name, std::string_view value) {
  auto key = ParseNicKey(value);
  if (!key.ok() || name.size() >= sizeof(Device::name)) {
    Log("devices: a malformed device/nic key");
    return;
  }
  // Told again; or given anew before its last withdrawal was noticed, which the poll will find.
  if (Find(name)) return;
  auto entry = std::make_unique<Entry>();
  entry->state = State::kExpected;
  entry->slot = key->slot;
  entry->device = {};
  std::memcpy(entry->device.name, name.data(), name.size());
  std::memcpy(entry->device.address, key->address, sizeof(key->address));
  entry->device.kind = DeviceKind::kPci;
  entry->device.descriptor = -1;
  entry->device.mtu = key->mtu;
  entries_.push_back(std::move(entry));
  Poll();
}

void XenDevices::Take(Entry& entry) {
  entry.function = std::make_unique<XenPciFunction>(entry.slot, events_, window_);
  entry.device.function = entry.function.get();
  entry.state = State::kHeld;
  entry.told = false;
  registry_.Remove(ReturnPath(entry.device.name));
  loop_.RunSoon(&teller_);
}

void XenDevices::SetObserver(DeviceObserver* observer) {
  observer_ = observer;
  for (auto& entry : entries_) entry->told = false;
  if (observer_) loop_.RunSoon(&teller_);
}

void XenDevices::Tell() {
  // An observer may return devices from within the call.
  for (size_t i = 0; observer_ && i < entries_.size();) {
    Entry& entry = *entries_[i];
    if (entry.state != State::kHeld || entry.told) {
      ++i;
      continue;
    }
    entry.told = true;
    const Device device = entry.device;
    observer_->OnDevice(device);
    i = 0;
  }
}

void XenDevices::Return(std::string_view name) {
  Entry* entry = Find(name);
  if (!entry || entry->state != State::kHeld) return;
  entry->function.reset();
  entry->device.function = nullptr;
  entry->state = State::kReturned;
  if (!registry_.Publish(ReturnPath(entry->device.name), "returned").ok()) {
    Log("devices: a return cannot be published");
  }
  // From the next round on.
  poll_at_ = Now();
  loop_.Poll(this, kPollInterval);
}

void XenDevices::OnEvent() {
  // Each look is answered by the device model.
  if (Now() >= poll_at_) Poll();
}

// Lets go of what is in the slots that nobody here uses.
void XenDevices::Eject(uint32_t wanted) {
  if (wanted == ~0u) return;  // No such register.
  for (const auto& entry : entries_) {
    if (entry->state != State::kReturned) wanted &= ~(uint32_t{1} << entry->slot);
  }
  if (wanted != 0) Out32(kEject, wanted);
}

void XenDevices::Poll() {
  Eject(In32(kEjectWanted));
  bool waiting = false;
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    const bool present = PortConfigSpace(entry.slot).present();
    if (entry.state == State::kExpected) {
      if (present) {
        Take(entry);
      } else {
        waiting = true;
      }
    } else if (entry.state == State::kReturned) {
      if (PortConfigSpace(entry.slot).present()) {
        waiting = true;
      } else {
        entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(i--));
      }
    }
  }
  const Nanoseconds interval = waiting ? kPollInterval : kIdleInterval;
  poll_at_ = Now() + interval;
  loop_.Poll(this, interval);
}

}  // namespace librettos::xen
