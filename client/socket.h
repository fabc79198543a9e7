// The daemon's unix socket as clients see it: is the path usable, does anybody listen, what gRPC calls it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace librettos {

// INVALID_ARGUMENT: empty, too long for a socket address, or with a zero byte in it.
absl::Status CheckSocketPath(absl::string_view path);

// Connects and hangs up. UNAVAILABLE: nobody listens there. PERMISSION_DENIED: it may not be opened. gRPC
// would tell all of them as one and only after its own retries. `path` must have passed CheckSocketPath.
absl::Status ProbeSocket(absl::string_view path);

// gRPC's name of the socket, "unix:…" with what a URI may not hold percent-encoded.
std::string SocketUri(absl::string_view path);

}  // namespace librettos
