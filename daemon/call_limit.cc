#include "daemon/call_limit.h"

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
    // At its creation, the call does not know its peer yet.
    if (!entered_) call_ = peers_.Enter(info_->server_context()->peer());
    entered_ = true;
    methods->Proceed();
  }

 private:
  Peers& peers_;
  ServerRpcInfo* const info_;
  bool entered_ = false;
  std::shared_ptr<const void> call_;
};

}  // namespace

grpc::experimental::Interceptor* CallLimit::CreateServerInterceptor(ServerRpcInfo* info) {
  return new Counted(peers_, info);
}

}  // namespace librettos::daemon
