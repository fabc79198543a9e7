// How a call gets its work done on the loop thread, by whom it may be called, and its line in the audit log.
// Methods are called by gRPC, on any of its threads.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "daemon/api.h"
#include "daemon/peer.h"
#include "daemon/turns.h"
#include "daemon/watch.h"
#include "grpcpp/grpcpp.h"

namespace librettos::daemon {

// Nothing here blocks a thread of gRPC's: a client that does not read its answers holds memory, and no more.
class Caller {
 public:
  using UnaryReactor = grpc::ServerUnaryReactor;

  Caller(EventLoop& loop, Api& api, WatchHub& hub, const Peers& peers)
      : turns_(loop), api_(api), hub_(hub), peers_(peers) {}

  // `method` and the others below are called on the loop thread, where the call is then finished.
  UnaryReactor* Read(grpc::CallbackServerContext* context, std::function<absl::Status(Api&)> method);
  // As Read, but for operators only (ROLE_TOO_LOW). Writes the audit line: who asked what, and what came of
  // it.
  UnaryReactor* Mutate(grpc::CallbackServerContext* context, const char* method,
                       const std::string& request_id, const std::string& resource,
                       std::function<absl::Status(Api&)> body);
  // Mutate, then waits (bounded) until the resource is really gone, so that its name and addresses are free
  // again.
  UnaryReactor* MutateAndAwaitDeletion(grpc::CallbackServerContext* context, const char* method,
                                       const std::string& request_id, const std::string& resource,
                                       std::function<absl::Status(Api&)> body);
  // `request` and `response` are gRPC's until the call ends.
  UnaryReactor* Wait(grpc::CallbackServerContext* context, const v1::WaitOperationRequest* request,
                     v1::Operation* response);
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest* request);

 private:
  struct Change {
    Peer peer;
    absl::Duration start;  // EventLoop::Monotonic.
    std::string method, request_id, resource;
    std::function<absl::Status(Api&)> body;
  };
  Change ChangeOf(grpc::CallbackServerContext* context, const char* method, const std::string& request_id,
                  const std::string& resource, std::function<absl::Status(Api&)> body);
  // In a turn.
  absl::Status Apply(const Change& change);
  // For the hub: nothing if the caller is an operator.
  std::optional<uid_t> ViewerOf(grpc::CallbackServerContext* context) const;

  Turns turns_;
  Api& api_;
  WatchHub& hub_;
  const Peers& peers_;
};

}  // namespace librettos::daemon
