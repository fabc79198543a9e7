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
    uint32_t giving;  // The daemon's number, by which it knows what a return refers to.
    bool told;
  };
  struct Returned {
    std::string name;
    uint32_t giving;
  };
  void Declare(const Returned& returned);
  void OnEvent() override;

  ProcessLoop& loop_;
  Control& control_;
  DeviceObserver* observer_ = nullptr;
  std::vector<Held> held_;
  std::vector<Returned> returned_;  // And not given again: told to each new connection.
};

}  // namespace librettos::process
