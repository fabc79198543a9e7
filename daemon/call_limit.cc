#include "daemon/call_limit.h"

#include <atomic>
#include <memory>

#include "grpcpp/server_context.h"

namespace librettos::daemon {
namespace {

using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// Lives as long as its call.
class Counted final : public grpc::experimental::Interceptor {
 public:
  Counted(Peers& peers, ServerRpcInfo* info) : peers_(peers), info_(info) {}
  void Intercept(InterceptorBatchMethods* methods) override {
    // At its creation, the call does not know its peer yet. Called for each of its operations, on any thread.
    if (!entered_.exchange(true)) call_ = peers_.Enter(info_->server_context()->peer());
    methods->Proceed();
  }

 private:
  Peers& peers_;
  ServerRpcInfo* const info_;
  std::atomic<bool> entered_ = false;
  std::shared_ptr<const void> call_;
};

}  // namespace

grpc::experimental::Interceptor* CallLimit::CreateServerInterceptor(ServerRpcInfo* info) {
  return new Counted(peers_, info);
}

}  // namespace librettos::daemon
