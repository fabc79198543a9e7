// What a process domain may ask of the kernel: nothing but what its platform needs.
//
// No file outside of its (empty) root, no socket, process, thread or executable page can be had, and no open
// file that is shared with a peer can be made blocking. A forbidden call kills the process (SIGSYS), which
// the daemon takes for any other death.
#pragma once

#include "guest/platform/result.h"

namespace librettos::process {

// For all threads of the process, for ever: there will be no others. Also sets no_new_privs.
Status InstallSandbox();

}  // namespace librettos::process
