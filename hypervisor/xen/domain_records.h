// What a daemon leaves in xenstore for the next one to find its domains by: /librettos/domain/<id>, for
// domain 0 only. Loop thread only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/pci_address.h"
#include "hypervisor/xen/xenstore.h"

namespace librettos::xen {

struct DomainRecord {
  DomainId id = 0;
  std::string name = {};
  hypervisor::DomainKind kind = hypervisor::DomainKind::kGuest;
  std::array<uint8_t, 16> uuid = {};  // Tells a later domain with the same id.
  bool complete = false;              // It was built and started.
};

struct NicRecord {
  std::string nic = {};
  PciAddress function = {};
  std::string address = {};
  uint32_t mtu = 0;
};

class DomainRecords {
 public:
  explicit DomainRecords(Xenstore& xenstore) : xenstore_(xenstore) {}

  absl::Status Prepare();
  absl::Status Write(const DomainRecord& record);
  std::vector<DomainRecord> All();
  void Remove(DomainId domain);
  // NICs that were given to a domain and not taken back.
  void WriteNic(DomainId domain, const NicRecord& nic);
  void RemoveNic(DomainId domain, const std::string& nic);
  std::vector<NicRecord> Nics(DomainId domain);

 private:
  Xenstore& xenstore_;
};

// "<address of the function> <hardware address> <mtu>"
std::string ToText(const NicRecord& nic);
std::optional<NicRecord> ParseNicRecord(const std::string& nic, const std::string& text);

}  // namespace librettos::xen
