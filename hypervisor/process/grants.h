// Memory and doorbells that domains offer to one another: the daemon's table of descriptors, by (owner,
// number).
//
// Trust: descriptors come from hostile domains and are checked when declared: memory must be a memfd on tmpfs
// that can no longer shrink (so that no access of a peer faults), doorbells must be eventfds. A peer gets
// only what was offered to it by name. Single-threaded.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/process/descriptor.h"

namespace librettos::process {

using hypervisor::DomainId;

inline constexpr size_t kMaxGrants = 256;  // Per domain.
inline constexpr size_t kMaxPorts = 256;   // Per domain.
inline constexpr uint64_t kMaxGrantBytes = 1ull << 30;

class Grants {
 public:
  struct Memory {
    SharedDescriptor descriptor;
    uint64_t bytes = 0;
  };
  using Doorbell = std::array<SharedDescriptor, 2>;  // [to signal the owner, to wait for the owner]

  absl::Status Grant(DomainId owner, uint32_t ref, DomainId peer, bool writable, SharedDescriptor memory);
  void Revoke(DomainId owner, uint32_t ref);
  // For `mapper`. Without `writable` the descriptor is open for reading only. NotFound, PermissionDenied.
  absl::StatusOr<Memory> Map(DomainId mapper, DomainId owner, uint32_t ref, bool writable) const;

  absl::Status Offer(DomainId owner, uint32_t port, DomainId peer, Doorbell doorbell);
  void ClosePort(DomainId owner, uint32_t port);
  absl::StatusOr<Doorbell> Bind(DomainId binder, DomainId owner, uint32_t port) const;

  // As for Registry: what the domain does not declare again between the two is dropped.
  void BeginDeclaration(DomainId domain);
  void EndDeclaration(DomainId domain);
  void DropDomain(DomainId domain);
  size_t size() const { return memory_.size() + ports_.size(); }
  size_t memory_size() const { return memory_.size(); }
  size_t ports_size() const { return ports_.size(); }

 private:
  using Number = std::pair<DomainId, uint32_t>;
  struct MemoryEntry {
    DomainId peer;
    bool writable;
    bool stale;
    Memory memory;
  };
  struct PortEntry {
    DomainId peer;
    bool stale;
    Doorbell doorbell;
  };

  std::map<Number, MemoryEntry> memory_;
  std::map<Number, PortEntry> ports_;
};

}  // namespace librettos::process
