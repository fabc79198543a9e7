// The gRPC server on its unix socket, with health and reflection. Who may open the socket may do everything:
// the file's permissions (0660, and its group) are the access control.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/services.h"
#include "grpcpp/grpcpp.h"

namespace librettos::daemon {

class GrpcServer {
 public:
  // Replaces a socket that a dead daemon left: the caller has made sure that no other daemon lives. `group`
  // (a name) may be empty. Called before other threads make files: sets the umask for a moment.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Create(const std::string& socket,
                                                            const std::string& group, EventLoop& loop,
                                                            Api& api, WatchHub& hub);
  ~GrpcServer();
  // Not on the loop thread. Refuses new calls, and ends those under way after `patience`.
  void Shutdown(absl::Duration patience);

 private:
  GrpcServer() = default;
  std::string socket_;
  WatchHub* hub_ = nullptr;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace librettos::daemon
