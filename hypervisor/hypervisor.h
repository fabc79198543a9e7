// The host side: what the daemon asks of whatever runs domains.
//
// Implemented by hypervisor/process (confined Linux processes) and hypervisor/xen. Single-threaded: all calls
// and all observer calls happen on the daemon's event loop thread (hypervisor/event_loop.h). Nothing here
// blocks for longer than starting a domain takes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace librettos::hypervisor {

using DomainId = uint32_t;

enum class Kind { kProcess, kXen };
enum class DomainKind { kServer, kGuest };

struct DomainConfig {
  std::string name = {};  // Resource name, e.g. "guests/web"; for people and logs.
  DomainKind kind = DomainKind::kGuest;
  std::string image = {};  // Path of the binary (process) or ELF image (Xen). Empty: the built-in one.
  std::vector<std::string> arguments = {};  // The domain's command line.
  std::string files = {};                   // Host directory that the domain may read; empty: none.
  uint32_t memory_mib = 0;                  // Xen: memory of the domain. 0: the hypervisor's default.
  uint32_t vcpus = 0;  // CPUs: virtual ones (Xen), or threads. 0: the hypervisor's default.
};

// How a domain ended.
struct DomainExit {
  bool orderly = false;          // It ended by itself with status 0.
  std::string description = {};  // "killed by signal 9", "exit status 3", "disappeared"
};

// Either a TAP interface (processes) or a PCI function (Xen). A hypervisor refuses the other kind,
// InvalidArgument.
struct NicConfig {
  std::string interface = {};          // TAP interface, made if it does not exist.
  std::string network_namespace = {};  // Path such as /run/netns/wire; empty: the daemon's own.
  std::string bridge = {};             // Bridge to put a new TAP into; empty: none.
  std::string pci_address = {};        // "0000:03:00.0"
  // As NicInfo was when it was open before; empty and 0: never. Of a PCI function nobody else may know.
  std::string known_address = {};
  uint32_t known_mtu = 0;
};

struct NicInfo {
  std::string address;  // 02:…
  uint32_t mtu = 0;
};

class DomainObserver {
 public:
  virtual ~DomainObserver() = default;
  virtual void OnDomainExit(DomainId domain, const DomainExit& exit) = 0;
  // The domain's platform is connected (after a start, or after a restart of the daemon) and has declared all
  // it holds.
  virtual void OnDomainConnected(DomainId domain) = 0;
  // The domain gave the device back.
  virtual void OnDeviceReturned(DomainId domain, const std::string& nic) = 0;
  // A NIC that was given cannot get to its domain now; tried again. `what` is for people; empty: it got
  // there.
  virtual void OnNicTrouble(const std::string& /*nic*/, const std::string& /*what*/) {}
  // A domain broke a rule of the platform or of the registry; `reason` is for people.
  virtual void OnDomainViolation(DomainId domain, const std::string& reason) = 0;
};

class Hypervisor {
 public:
  virtual ~Hypervisor() = default;
  virtual Kind kind() const { return Kind::kProcess; }

  // ---- Domains. A domain outlives the daemon.
  // The domain may still be being built when this returns: it is known by its id from now on, and if it
  // cannot be built after all, that is its exit.
  virtual absl::StatusOr<DomainId> Create(const DomainConfig& config) = 0;
  // Kills at once. OnDomainExit follows when it runs no more. NotFound if unknown.
  virtual absl::Status Destroy(DomainId domain) = 0;
  // Domains found running at start-up (from a previous daemon). They connect one by one.
  virtual std::vector<std::pair<DomainId, std::string>> Adopted() const = 0;
  // How long a domain may take from Create to its first heartbeat.
  virtual absl::Duration StartDeadline() const { return absl::Seconds(5); }
  // Process id of the domain on the host, for people and tests; 0 if it has none (Xen) or is unknown.
  virtual int32_t Pid(DomainId /*domain*/) const { return 0; }
  // Next id that Create would use; the caller persists it, ids are not reused soon (SetNextId at start-up).
  virtual void SetNextId(DomainId next) = 0;

  // ---- Registry, as domain 0.
  virtual void Write(absl::string_view path, absl::string_view value) = 0;
  virtual absl::StatusOr<std::string> Read(absl::string_view path) = 0;
  virtual std::vector<std::string> List(absl::string_view path) = 0;  // Names of children.
  // With everything below, and the rights given there.
  virtual void Remove(absl::string_view path) = 0;
  // Lets `reader` read `path` and below (besides its owner).
  virtual void AllowRead(absl::string_view path, DomainId reader) = 0;
  // Lets only domain 0 write at and below `path`, though it lies in a domain's subtree.
  virtual void Reserve(absl::string_view path) = 0;
  // Called (on the loop, not from within the change) with each changed path below `prefix`; level-triggered.
  virtual void Watch(absl::string_view prefix, std::function<void(const std::string& path)> callback) = 0;

  // ---- NICs.
  virtual absl::StatusOr<NicInfo> OpenNic(const std::string& nic, const NicConfig& config) = 0;
  virtual absl::Status CloseNic(const std::string& nic) = 0;
  // Gives the NIC to a domain. The daemon keeps what it needs to take it back after the domain's death.
  // `address`: the hardware address that the domain is to use (a guest's own in direct mode); empty: the
  // NIC's.
  virtual absl::Status GiveNic(const std::string& nic, DomainId domain, const std::string& address) = 0;
  // The NIC that was given to the domain is not to get there any more, if it has not yet: then
  // OnDeviceReturned follows, maybe before this returns. What the domain has it keeps until it returns it.
  virtual void RecallNic(const std::string& /*nic*/, DomainId /*domain*/) {}

  // ---- Statistics: a copy of the domain's counter page (guest/platform/statistics.h), or Unavailable.
  virtual absl::StatusOr<std::vector<uint64_t>> Statistics(DomainId domain) = 0;
  virtual absl::StatusOr<uint64_t> Heartbeat(DomainId domain) = 0;  // Cheap.

  // How many of what is kept for all domains together, by name ("registry_keys"): what would grow if
  // something leaked.
  virtual std::map<std::string, uint64_t> Census() const { return {}; }

  virtual void SetObserver(DomainObserver* observer) = 0;
};

}  // namespace librettos::hypervisor
