// The devices that this domain holds: PCI functions, as the keys device/nic/<name> say.
#pragma once

#include "guest/platform/platform.h"

namespace librettos::xen {

class XenDevices final : public Devices {
 public:
  void SetObserver(DeviceObserver*) override {}
  void Return(std::string_view) override {}
};

}  // namespace librettos::xen
