// What libxl is asked for: docs/xen.md, Domains. No call to Xen.
#pragma once

#include <string>

#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

struct DomainPlan {
  hypervisor::DomainId id = 0;
  std::string name;  // As `xl list` shows it; unique on the host.
  libxl_uuid uuid;
  std::string image;
  std::string disk;  // Path of the files' archive; empty: none.
  uint32_t memory_mib = 0;
  uint32_t vcpus = 0;
};

// "guests-web-12" for the resource name "guests/web" and domain 12: names of log files are made of it.
std::string HostName(const std::string& name, hypervisor::DomainId id);

// Owns a libxl_domain_config.
class DomainConfiguration {
 public:
  explicit DomainConfiguration(const DomainPlan& plan);
  ~DomainConfiguration() { libxl_domain_config_dispose(&config_); }
  DomainConfiguration(const DomainConfiguration&) = delete;
  libxl_domain_config* get() { return &config_; }

 private:
  libxl_domain_config config_;
};

}  // namespace librettos::xen
