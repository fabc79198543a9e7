// How a gRPC handler gets its work done on the loop thread, by whom it may be called, and its line in the
// audit log.
#pragma once

#include <functional>
#include <string>

#include "daemon/api.h"
#include "daemon/peer.h"
#include "daemon/watch.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/support/sync_stream.h"
#include "hypervisor/event_loop.h"

namespace librettos::daemon {

class Caller {
 public:
  Caller(EventLoop& loop, Api& api, WatchHub& hub, const Peers& peers)
      : loop_(loop), api_(api), hub_(hub), peers_(peers) {}

  grpc::Status Read(const std::function<absl::Status(Api&)>& method);
  // As Read, but for operators only (ROLE_TOO_LOW). Writes the audit line: who asked what, and what came of
  // it.
  grpc::Status Mutate(grpc::ServerContext* context, const char* method, const std::string& request_id,
                      const std::string& resource, const std::function<absl::Status(Api&)>& body);
  // Mutate, then waits (bounded) until the resource is really gone, so that its name and addresses are free
  // again.
  grpc::Status MutateAndAwaitDeletion(grpc::ServerContext* context, const char* method,
                                      const std::string& request_id, const std::string& resource,
                                      const std::function<absl::Status(Api&)>& body);
  grpc::Status Wait(grpc::ServerContext* context, const v1::WaitOperationRequest& request,
                    v1::Operation* response);
  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest& request,
                     grpc::ServerWriter<v1::WatchResponse>* writer);

 private:
  absl::Status OnLoop(const std::function<absl::Status(Api&)>& body);
  // For the caller; nullptr: there are too many.
  std::shared_ptr<Subscription> Subscribe(grpc::ServerContext* context, std::vector<std::string> prefixes);

  EventLoop& loop_;
  Api& api_;
  WatchHub& hub_;
  const Peers& peers_;
};

}  // namespace librettos::daemon
