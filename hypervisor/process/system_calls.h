// The system call filter that a domain is under from its first instruction, whatever its image does.
//
// It holds for images that do not confine themselves (guest/platform/process/sandbox.h does, more tightly and
// on top of this). It leaves a static binary of any libc what it needs to start, to have threads, and to
// install a filter of its own. Everything else fails with EPERM; what only an attack would try kills the
// domain (SIGSYS). No call can change the status flags of an open file (fcntl F_SETFL, any ioctl): a doorbell
// or a TAP that is shared with others stays non-blocking, so that no domain can make another one, or the
// daemon, sleep in write().
#pragma once

#include <linux/filter.h>

#include <vector>

#include "absl/status/statusor.h"

namespace librettos::process {

// The program for seccomp(2). It allows one more thing, for the spawner: to execute descriptor `image`.
// (Later that only runs, under the same filter, what the domain has written itself.)
absl::StatusOr<std::vector<sock_filter>> SystemCallFilter(int image);

}  // namespace librettos::process
