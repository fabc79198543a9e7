// Observers that remember what they were told, for unit tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "guest/platform/platform.h"

namespace librettos::process {

struct Keys : RegistryObserver {
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    ++calls;
    if (present) {
      state[std::string(path)] = value;
    } else {
      gone.emplace_back(path);
      state.erase(std::string(path));
    }
  }
  int calls = 0;
  std::map<std::string, std::string> state;
  std::vector<std::string> gone;
};

struct Mapped : MapObserver {
  void OnMapped(Result<Mapping*> result) override { results.push_back(result); }
  std::vector<Result<Mapping*>> results;
};

struct Bound : BindObserver {
  void OnBound(Result<EventPort*> result) override { results.push_back(result); }
  std::vector<Result<EventPort*>> results;
};

struct Count : Handler {
  void OnEvent() override { ++calls; }
  int calls = 0;
};

struct Given : DeviceObserver {
  void OnDevice(const Device& device) override { devices.push_back(device); }
  std::vector<Device> devices;
};

}  // namespace librettos::process
