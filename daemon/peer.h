// Who is at the other end of a connection, and what that user may do.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace librettos::daemon {

enum class Role {
  kNone,
  kViewer,    // May look.
  kOperator,  // May do everything.
};

struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  pid_t pid = 0;  // That connected; 0: of another process namespace.
  Role role = Role::kNone;
};

// Who has which role: root, the daemon's own user and members of `operators` are operators, members of
// `viewers` viewers. Who is both is an operator.
struct RoleGroups {
  std::string operators_name;  // For people.
  gid_t operators = 0;
  std::optional<gid_t> viewers;

  Role RoleOf(uid_t uid, const std::vector<gid_t>& groups) const;
};

inline constexpr int kMaxConnectionsPerViewer = 16;
inline constexpr int kMaxCallsPerConnection = 100;  // At once; RFC 9113, section 6.5.2, wants no less.

// Who had the connected unix socket when it connected (SO_PEERCRED, SO_PEERGROUPS).
Peer PeerOf(int socket, const RoleGroups& groups);

// The peers of the connections that gRPC has. Any thread.
//
// gRPC names a connection that it was handed by its descriptor ("fd:7"), and that is all that a handler
// learns. It is enough: each call holds its connection's transport, which closes the descriptor when it goes
// (gRPC 1.51: chttp2_transport.cc, ~grpc_chttp2_transport). So while a handler runs, no other connection has
// the number.
class Peers {
 public:
  explicit Peers(RoleGroups groups) : groups_(std::move(groups)) {}
  const RoleGroups& groups() const { return groups_; }
  // Before gRPC is handed the descriptor. What an earlier connection of that number left is replaced. False:
  // `peer` is a viewer with kMaxConnectionsPerViewer open connections, and this is to be none.
  bool Add(int descriptor, const Peer& peer);
  // By grpc::ServerContext::peer(). Role::kNone if it is unknown.
  Peer Find(absl::string_view name) const;
  // A call begins on a connection, and ends when the last reference to the result goes. A connection that has
  // kMaxCallsPerConnection already is broken, with all its calls.
  std::shared_ptr<const void> Enter(absl::string_view name);

 private:
  struct Connection {
    Peer peer;
    ino_t inode;  // Of its socket: tells whether the descriptor is still this connection.
    std::shared_ptr<const int> calls;  // One reference more than there are calls.
  };
  using Connections = std::map<int, Connection>;  // By descriptor.
  // The end: unknown.
  Connections::const_iterator FindConnection(absl::string_view name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RoleGroups groups_;
  mutable absl::Mutex mutex_;
  Connections connections_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace librettos::daemon
