// The devices that this domain holds: PCI functions, as the keys device/nic/<name> say; and their return.
//
// A returned function stays in its slot until domain 0 has withdrawn it. Withdrawal is asked for by a bit in
// a register that nothing announces (QEMU's ACPI hotplug, docs/specs/acpi_pci_hotplug), so it is polled, but
// only while a function is on its way out or in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "guest/platform/xen/loop.h"
#include "guest/platform/xen/pci_function.h"

namespace librettos::xen {

class XenDevices final : public Devices, private RegistryObserver, private Handler {
 public:
  XenDevices(XenLoop& loop, Events& events, Registry& registry)
      : loop_(loop), events_(events), registry_(registry) {}
  // `base`: the domain's path in the registry. Once.
  Status Start(std::string_view base);

  void SetObserver(DeviceObserver* observer) override;
  void Return(std::string_view name) override;

 private:
  enum class State { kExpected, kHeld, kReturned };
  struct Entry {
    State state;
    Device device;
    unsigned slot;
    std::unique_ptr<XenPciFunction> function;  // kHeld.
    bool told = false;
  };
  // Tells the observer of devices.
  struct Teller final : Handler {
    explicit Teller(XenDevices& all) : devices(all) {}
    void OnEvent() override { devices.Tell(); }
    XenDevices& devices;
  };

  void OnKey(std::string_view path, std::string_view value, bool present) override;
  void OnEvent() override;  // The time to poll.
  void Expect(std::string_view name, std::string_view value);
  void Take(Entry& entry);
  void Tell();
  void Poll();
  Entry* Find(std::string_view name);
  std::string ReturnPath(std::string_view name) const;

  XenLoop& loop_;
  Events& events_;
  Registry& registry_;
  Teller teller_{*this};
  BarWindow window_;
  std::string given_, returned_;  // Paths, with a slash at the end.
  DeviceObserver* observer_ = nullptr;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace librettos::xen
