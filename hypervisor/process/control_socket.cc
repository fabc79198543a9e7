#include "hypervisor/process/control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace librettos::process {
namespace {

constexpr int kBacklog = 4;  // One daemon connects at a time; the rest is for quick restarts.

sockaddr_un AddressOf(int directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // sun_path holds 107 bytes; a run directory may be deeper.
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name.c_str());
  return address;
}

absl::Status Errno(absl::string_view what, const std::string& name) {
  return absl::UnavailableError(
      absl::StrCat("cannot ", what, " control socket ", name, ": ", strerror(errno)));
}

}  // namespace

std::string SocketName(hypervisor::DomainId id) { return absl::StrCat(id, ".sock"); }

absl::StatusOr<Descriptor> ListenAt(int directory, const std::string& name) {
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return Errno("make", name);
  unlinkat(directory, name.c_str(), 0);
  const sockaddr_un address = AddressOf(directory, name);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Errno("bind", name);
  }
  if (listen(socket.get(), kBacklog) != 0) return Errno("listen on", name);
  return socket;
}

absl::StatusOr<Descriptor> ConnectTo(int directory, const std::string& name) {
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return Errno("make", name);
  const sockaddr_un address = AddressOf(directory, name);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Errno("connect to", name);
  }
  return socket;
}

}  // namespace librettos::process
