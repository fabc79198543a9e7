// Bounds the calls that are under way on each connection, those of health and reflection, too.
//
// A client that keeps to HTTP/2 never has more than the daemon's settings allow: its own library waits. gRPC
// 1.51 enforces that on clients that have acknowledged the settings; one that does not could have any number,
// each of which costs memory until its answer is read.
#pragma once

#include "daemon/peer.h"
#include "grpcpp/support/server_interceptor.h"

namespace librettos::daemon {

class CallLimit final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `peers` outlives all calls.
  explicit CallLimit(Peers& peers) : peers_(peers) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;

 private:
  Peers& peers_;
};

}  // namespace librettos::daemon
