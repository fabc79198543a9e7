// TAP interfaces in any network namespace. Stateless; each call works in a thread of its own inside the
// namespace, so that the caller never leaves its own.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/process/descriptor.h"

namespace librettos::process {

struct OpenTap {
  Descriptor
      descriptor;     // Non-blocking, IFF_VNET_HDR with headers of 10 bytes, checksum and TCP offload on; up.
  bool made = false;  // The interface did not exist before.
};

// Attaches to the interface of `config`, making it (persistent, in the bridge) if it does not exist.
// InvalidArgument: a bad name. NotFound: no such namespace or bridge. AlreadyExists: another process has it
// open. FailedPrecondition: not a TAP. PermissionDenied.
absl::StatusOr<OpenTap> OpenTapInterface(const hypervisor::NicConfig& config);

// Whether `descriptor`, which came from a hostile domain, is really open on the interface of `config`.
absl::Status CheckTap(int descriptor, const hypervisor::NicConfig& config);

// The MTU of the interface behind `descriptor`.
absl::StatusOr<uint32_t> TapMtu(const hypervisor::NicConfig& config);

// Takes all that the interface has received so far, and forgets it. `descriptor` must not block.
void DiscardReceived(int descriptor);

enum class TapUse {
  kNone,
  kOpen,
  kUnread,  // There are descriptors in what the process has not yet received, which may be of it.
};
// Whether the process has the interface of that name open, or could have. It says the same of one so named in
// another namespace.
TapUse UseOfTap(pid_t pid, const std::string& interface);

// The interface goes when its last descriptor is closed.
absl::Status MakeTransient(int descriptor);

}  // namespace librettos::process
