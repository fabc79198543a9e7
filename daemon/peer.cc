#include "daemon/peer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace librettos::daemon {
namespace {

// 0: the descriptor is closed.
ino_t InodeOf(int descriptor) {
  struct stat info;
  return fstat(descriptor, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Role RoleGroups::RoleOf(uid_t uid, const std::vector<gid_t>& groups) const {
  const auto member = [&](gid_t group) {
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  };
  if (uid == 0 || uid == geteuid() || member(operators)) return Role::kOperator;
  return viewers.has_value() && member(*viewers) ? Role::kViewer : Role::kNone;
}

Peer PeerOf(int socket, const RoleGroups& groups) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return Peer();
  // As many as a process can have (NGROUPS_MAX); with fewer the call says so and nothing is lost but time.
  std::vector<gid_t> supplementary(64);
  length = static_cast<socklen_t>(supplementary.size() * sizeof(gid_t));
  int result = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, supplementary.data(), &length);
  if (result != 0 && length > supplementary.size() * sizeof(gid_t)) {
    supplementary.resize(length / sizeof(gid_t));
    result = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, supplementary.data(), &length);
  }
  supplementary.resize(result == 0 ? length / sizeof(gid_t) : 0);
  supplementary.push_back(credentials.gid);
  return {
      .uid = credentials.uid, .pid = credentials.pid, .role = groups.RoleOf(credentials.uid, supplementary)};
}

bool Peers::Add(int descriptor, const Peer& peer) {
  absl::MutexLock lock(&mutex_);
  if (peer.role == Role::kViewer) {
    std::erase_if(connections_, [](const auto& entry) { return InodeOf(entry.first) != entry.second.inode; });
    const auto own = std::count_if(connections_.begin(), connections_.end(), [&](const auto& entry) {
      return entry.second.peer.role == Role::kViewer && entry.second.peer.uid == peer.uid;
    });
    if (own >= kMaxConnectionsPerViewer) return false;
  }
  connections_[descriptor] = {peer, InodeOf(descriptor), std::make_shared<const int>()};
  return true;
}

Peers::Connections::const_iterator Peers::FindConnection(absl::string_view name) const {
  int descriptor = -1;
  if (!absl::ConsumePrefix(&name, "fd:") || !absl::SimpleAtoi(name, &descriptor)) return connections_.end();
  return connections_.find(descriptor);
}

Peer Peers::Find(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = FindConnection(name);
  return found == connections_.end() ? Peer() : found->second.peer;
}

std::shared_ptr<const void> Peers::Enter(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = FindConnection(name);
  if (found == connections_.end()) return nullptr;
  const auto& [descriptor, connection] = *found;
  // Still this connection's descriptor, as the call holds it (see above).
  if (connection.calls.use_count() > kMaxCallsPerConnection) shutdown(descriptor, SHUT_RDWR);
  return connection.calls;
}

}  // namespace librettos::daemon
