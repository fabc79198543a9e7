// What a new domain's process does to itself between clone and exec. Internal to the spawner.
//
// Runs in the child of a multi-threaded daemon: only async-signal-safe calls, no allocation, no locks;
// everything it needs is prepared in `Confinement` before the clone.
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#include "hypervisor/process/wire.h"

namespace librettos::process {

// The steps, in order; what failed is reported to the parent by its number.
enum class Step : int32_t {
  kRelease,
  kDescriptors,
  kFiles,
  kUser,
  kRoot,
  kPivot,
  kHostname,
  kLimits,
  kCapabilities,
  kFilter,
  kExec,
};

// For a message: "cannot <...>".
const char* ToString(Step step);

struct StepFailure {
  Step step;
  int32_t error;  // errno
};

// Where the child has the image's descriptor when it executes it.
inline constexpr int kImageDescriptor = kControlDescriptor + 2;

struct Confinement {
  int image;
  int log;
  int null;
  int control;
  int status;         // Our end of the socket pair; a byte from it releases us, a StepFailure goes into it.
  int parent_status;  // The parent's end, to be closed.
  const char* files;  // nullptr: none.
  const char* hostname;
  char* const* arguments;
  char* const* environment;
  sock_fprog filter;  // See system_calls.h.
};

[[noreturn]] void ConfineAndExecute(const Confinement& plan);

}  // namespace librettos::process
