// The devices that this domain holds.
#pragma once

#include <string>
#include <vector>

#include "guest/platform/process/control.h"

namespace librettos::process {

class ProcessDevices final : public Devices, private Handler {
 public:
  ProcessDevices(ProcessLoop& loop, Control& control) : loop_(loop), control_(control) {}
  ~ProcessDevices();

  void SetObserver(DeviceObserver* observer) override;
  void Return(std::string_view name) override;

  void Redeclare();
  // False: malformed.
  bool OnDevice(InMessage& message);

 private:
  struct Held {
    Device device;
    bool told;
  };
  void OnEvent() override;

  ProcessLoop& loop_;
  Control& control_;
  DeviceObserver* observer_ = nullptr;
  std::vector<Held> held_;
  std::vector<std::string> returned_;  // While no daemon was there to be told.
};

}  // namespace librettos::process
