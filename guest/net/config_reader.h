// Collects a guest's configuration from the keys of its vif, in whatever order they come.
#pragma once

#include "guest/net/network_config.h"
#include "guest/platform/platform.h"

namespace librettos::guest {

class ConfigReader final : private RegistryObserver {
 public:
  // Optional keys may come last: they are waited for this long after the needed ones.
  static constexpr Nanoseconds kGrace = 300'000'000;

  explicit ConfigReader(Platform& platform);
  ~ConfigReader();
  ConfigReader(const ConfigReader&) = delete;
  Status Start();
  // MAC and addresses are there, and the others too or the grace is over.
  bool Complete(Nanoseconds now);
  const NetworkConfig& config() const { return config_; }

 private:
  void OnKey(std::string_view path, std::string_view value, bool present) override;
  Platform& platform_;
  NetworkConfig config_;
  bool mac_ = false, addresses_ = false, mtu_ = false, shared_ = false, pairs_ = false;
  Nanoseconds needed_since_ = 0;
  char base_[64];
};

}  // namespace librettos::guest
