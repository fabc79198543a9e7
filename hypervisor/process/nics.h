// The NICs of the embedded mode: TAP descriptors, by the daemon's name, and which domain uses each.
//
// The daemon keeps its own copy of each descriptor, so that a NIC outlives its user. After a restart of the
// daemon descriptors come back from the domains (Held). Whether an interface was made here is remembered in
// <directory>, so that a later daemon removes it, and only it. Single-threaded.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/message.h"
#include "hypervisor/process/tap.h"

namespace librettos::process {

using hypervisor::DomainId;
using hypervisor::DomainKind;

class Nics {
 public:
  explicit Nics(std::string directory);

  // `adopting`: domains of a former daemon are still to say what they hold. Unavailable: the interface is in
  // use, perhaps by one of them; try again.
  absl::StatusOr<hypervisor::NicInfo> Open(const std::string& nic, const hypervisor::NicConfig& config,
                                           bool adopting);
  absl::Status Close(const std::string& nic);

  // Returns whether the domain has to be told (DeviceMessage): not if it holds the NIC already. `connected`:
  // it can be told now; otherwise EndDeclaration names the NIC when it can. What the NIC has received since
  // its former user is for a server that follows a server; to or from a guest it is for nobody.
  absl::StatusOr<bool> Give(const std::string& nic, DomainId domain, DomainKind kind,
                            const std::string& address, bool connected);
  Message DeviceMessage(const std::string& nic) const;

  // What domains say of themselves; they are hostile.
  void BeginDeclaration(DomainId domain);
  absl::Status Held(const std::string& nic, DomainId domain, DomainKind kind, uint32_t giving,
                    SharedDescriptor descriptor);
  // NICs given to the domain that it did not declare: they are to be told again.
  std::vector<std::string> EndDeclaration(DomainId domain);
  // `giving`: the number that DeviceMessage gave. False: the return is of an earlier giving; the domain is to
  // have the NIC again since. Returns are repeated, and may be of NICs that others have by now: that changes
  // nothing. `use` says whether a guest still has it open; it could go on to read what is the next one's,
  // and so the NIC stays the domain's: PermissionDenied if it has, Unavailable if it could have.
  absl::StatusOr<bool> Returned(const std::string& nic, DomainId domain, uint32_t giving,
                                const std::function<TapUse(const std::string& interface)>& use);
  void DropDomain(DomainId domain);
  size_t size() const { return nics_.size(); }

 private:
  struct Nic {
    hypervisor::NicConfig config;
    SharedDescriptor descriptor;
    hypervisor::NicInfo info;
    std::string given_address;  // 6 bytes.
    bool made = false;
    DomainKind user = DomainKind::kServer;  // Who has it, or had it last.
    DomainId holder = 0;                    // 0: nobody.
    uint32_t giving = 0;                    // Which return is meant for what the holder has.
    bool declared = false;  // The holder has said so on its present connection, or was told on it.
  };
  // Declared by a domain before the NIC was opened by this daemon; checked then.
  struct Claim {
    DomainId domain;
    DomainKind kind;
    uint32_t giving;
    SharedDescriptor descriptor;
  };

  std::string MarkOf(const std::string& nic) const;

  const std::string directory_;
  uint32_t next_giving_;  // From a random start, as domains remember those of former daemons.
  std::map<std::string, Nic> nics_;
  std::map<std::pair<std::string, DomainId>, Claim> claims_;
};

// A stable unicast address of our own for a NIC: 02 and five bytes that depend on the machine, namespace and
// interface. Not the address of the TAP interface itself, which is the host's end of the wire.
std::array<uint8_t, 6> NicAddress(const hypervisor::NicConfig& config);

}  // namespace librettos::process
