// The gRPC server on its unix socket, with health and reflection. Who may connect, and call what, is the
// listener's and the caller's matter (daemon/listener.h, daemon/caller.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/listener.h"
#include "daemon/services.h"
#include "grpcpp/grpcpp.h"

namespace librettos::daemon {

class GrpcServer {
 public:
  // As Listener::Create, whose conditions hold.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Create(const std::string& socket,
                                                            const Listener::Access& access, EventLoop& loop,
                                                            Api& api, WatchHub& hub);
  ~GrpcServer();
  // Not on the loop thread, while the loop runs. Refuses new calls, and ends those under way after
  // `patience`.
  void Shutdown(absl::Duration patience);

 private:
  GrpcServer() = default;
  std::unique_ptr<Listener> listener_;
  EventLoop* loop_ = nullptr;
  WatchHub* hub_ = nullptr;
  std::unique_ptr<Caller> caller_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace librettos::daemon
