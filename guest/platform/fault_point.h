// Steps of the protocols (docs/protocols.md, Fault points) at which a test can hold a domain or the daemon,
// to kill, stop or delay it there. Only in builds of //bazel:fault_points.bzl; in all others they are
// nothing.
//
//   FAULT_POINT("server.sent");
//
// A test arms one point at a time in the memory of the process, or in its image before it starts
// (test/lib/fault_points.py). Who comes to an armed point waits there until it is disarmed.
#pragma once

#ifdef LIBRETTOS_FAULT_POINTS

namespace librettos {

void ReachFaultPoint(const char* name);

}  // namespace librettos

#define FAULT_POINT(name) ::librettos::ReachFaultPoint(name)

#else

#define FAULT_POINT(name) static_cast<void>(0)

#endif
