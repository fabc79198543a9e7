// Starts a domain: a process in namespaces of its own, without capabilities, files or descriptors but those
// given.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/process/descriptor.h"

namespace librettos::process {

struct SpawnPlan {
  std::string image;                   // Path of the static binary.
  std::vector<std::string> arguments;  // Without the program's name.
  std::string files;                   // Directory to be seen as /srv; empty: none.
  std::string hostname;                // At most 64 bytes.
  std::string log;                     // File to append standard output and error to.
  uid_t uid = 0;                       // Host user and group that the domain's root is mapped to; not 0.
  int control = -1;                    // Listening socket, for kControlDescriptor.
  uint32_t cpus = 1;                   // For kCpusVariable.
};

struct Spawned {
  pid_t pid = -1;
  Descriptor pidfd;
};

// Returns once the image executes, or with the step that failed and why; then nothing is left running.
// `record` is called while the new process still waits: if it fails, nothing was started; and if the daemon
// dies before, the process ends by itself. Needs root. Takes a few milliseconds. The domain outlives the
// daemon.
absl::StatusOr<Spawned> Spawn(const SpawnPlan& plan, const std::function<absl::Status(pid_t)>& record);

}  // namespace librettos::process
