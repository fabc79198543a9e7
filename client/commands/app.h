// librettosctl as a function.
#pragma once

#include <string>
#include <vector>

#include "client/commands/context.h"

namespace librettos::ctl {

// Runs the command line `arguments` (without the program's name) and returns the exit code (exit_code.h).
int Run(const std::vector<std::string>& arguments, const Io& io);

}  // namespace librettos::ctl
