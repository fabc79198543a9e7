// What /proc tells of a process's threads, for judging whether it can still do anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace librettos::process {

// Whether no thread of the process (identified with its start time, field 22 of /proc/<pid>/stat) will ever
// execute an instruction of its own again: each one is in the kernel, on its way out. Then its wait status
// (as of waitpid), though it may be long until it can be waited for: memory and descriptors are still being
// released. Nothing: it may still run, or it is unknown; or its status is 0, which is also what the kernel
// shows to those who may not see it. Any thread; takes some ten microseconds.
std::optional<int> EndedWith(pid_t pid, uint64_t start_time);

}  // namespace librettos::process
