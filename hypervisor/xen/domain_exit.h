// How a domain ended, in words: from Xen's shutdown reason and what the domain itself left in the registry
// (docs/xen.md, Domains). Pure.
#pragma once

#include <string>

#include "hypervisor/hypervisor.h"

namespace librettos::xen {

// `reason`: sched.h, SHUTDOWN_*. `exit_status`, `panic`: data/exit and data/panic, empty if absent; the
// domain wrote them, so they are untrusted. `registers`: DomainWatch::LastRegisters, if it left neither.
hypervisor::DomainExit ExitOf(unsigned reason, const std::string& exit_status, const std::string& panic,
                              const std::string& registers);

}  // namespace librettos::xen
