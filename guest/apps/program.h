// The programs built into a guest. Each takes its own arguments (without its name), runs until it is done or
// sockets::Stopping(), and returns the domain's exit status: 0 done, 1 could not work, 2 wrong usage (both
// logged).
#pragma once

#include <span>
#include <string_view>

#include "guest/platform/platform.h"

namespace librettos::apps {

using Arguments = std::span<const std::string_view>;

int RunHttp(Platform& platform, Arguments arguments);
int RunEcho(Platform& platform, Arguments arguments);
int RunIperf(Platform& platform, Arguments arguments);
int RunUdpseq(Platform& platform, Arguments arguments);

// Logs "<program>: <what>; usage: <usage>" and returns 2.
int UsageError(std::string_view program, std::string_view what, std::string_view usage);

}  // namespace librettos::apps
