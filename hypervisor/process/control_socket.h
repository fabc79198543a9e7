// The unix sockets by which daemons reach domains: <directory>/<id>.sock, listened on by the domain,
// connected to by every daemon in turn. Non-blocking SOCK_SEQPACKET.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/process/descriptor.h"

namespace librettos::process {

std::string SocketName(hypervisor::DomainId id);

// `directory`: an open descriptor of the directory, so that the length of its path does not matter.
absl::StatusOr<Descriptor> ListenAt(int directory, const std::string& name);
absl::StatusOr<Descriptor> ConnectTo(int directory, const std::string& name);

}  // namespace librettos::process
