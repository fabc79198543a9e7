// The gRPC services: each call runs an Api method on the loop thread and waits for it. Handler threads are
// gRPC's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/caller.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/service_type.h"

namespace librettos::daemon {

inline constexpr int kMaxMessageBytes = 1 << 20;

// All services, to be registered with a ServerBuilder. `caller` outlives them.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(Caller& caller);

// Full names of those services, for the health service.
std::vector<std::string> ServiceNames();

// Code, text and details as the client gets them.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace librettos::daemon
