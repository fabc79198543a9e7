// What a daemon leaves in its run directory for the next one to find a running domain by:
// <directory>/<id>.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "hypervisor/hypervisor.h"

namespace librettos::process {

struct DomainRecord {
  hypervisor::DomainId id = 0;
  int32_t pid = 0;
  uint64_t start_time = 0;  // Clock ticks since boot: field 22 of /proc/<pid>/stat. Tells a reused pid.
  hypervisor::DomainKind kind = hypervisor::DomainKind::kGuest;
  std::string name;
};

// Start time of a process; nothing if there is none of this pid.
std::optional<uint64_t> StartTime(int32_t pid);

// Atomically: there is the old record, the new one or none, never part of one.
absl::Status WriteRecord(const std::string& directory, const DomainRecord& record);
std::optional<DomainRecord> ReadRecord(const std::string& directory, hypervisor::DomainId id);
// Ids with a record, ascending.
std::vector<hypervisor::DomainId> ListRecords(const std::string& directory);

}  // namespace librettos::process
