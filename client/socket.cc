#include "client/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace librettos {

absl::Status CheckSocketPath(absl::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError("the path of the daemon's socket is empty");
  // sun_path, one byte of it for the final zero.
  constexpr size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kLongest) {
    return absl::InvalidArgumentError(
        absl::StrCat("the socket's path has ", path.size(), " bytes, at most ", kLongest, " are possible"));
  }
  if (path.find('\0') != path.npos) return absl::InvalidArgumentError("the socket's path has a zero byte");
  return absl::OkStatus();
}

absl::Status ProbeSocket(absl::string_view path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  // Not blocking: a daemon that does not accept must not hold us up here. gRPC's deadline deals with it.
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot make a socket");
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(fd);
  // EAGAIN: somebody listens, with a full backlog.
  if (result == 0 || error == EAGAIN) return absl::OkStatus();
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": ", strerror(error)));
  }
  return absl::UnavailableError(absl::StrCat("no daemon listens on ", path, ": ", strerror(error)));
}

std::string SocketUri(absl::string_view path) {
  std::string uri = "unix:";
  for (const char c : path) {
    if (absl::ascii_isalnum(c) || absl::StrContains("/-._~", absl::string_view(&c, 1))) {
      uri += c;
    } else {
      absl::StrAppendFormat(&uri, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return uri;
}

}  // namespace librettos
