#include "daemon/grpc_server.h"

#include "daemon/call_limit.h"
#include "grpc/grpc.h"
#include "grpc/support/time.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_posix.h"

namespace librettos::daemon {
namespace {

constexpr int kMaxThreads = 256;
constexpr size_t kMaxMemory = 64 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(const std::string& socket,
                                                               const Listener::Access& access,
                                                               EventLoop& loop, Api& api, WatchHub& hub) {
  auto listener = Listener::Create(socket, access, loop);
  if (!listener.ok()) return listener.status();
  // Never matched by grpc_shutdown: after a large write that had to wait, the last shutdown of gRPC 1.51
  // joins a poller that sleeps for up to 10 s, by which the end of the process would be late.
  static const bool kept = (grpc_init(), true);
  (void)kept;
  auto server = std::unique_ptr<GrpcServer>(new GrpcServer);
  server->listener_ = *std::move(listener);
  server->loop_ = &loop;
  server->hub_ = &hub;
  server->caller_ = std::make_unique<Caller>(loop, api, hub, server->listener_->peers());
  server->services_ = MakeServices(*server->caller_);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  grpc::ResourceQuota quota("librettosd");
  quota.SetMaxThreads(kMaxThreads);
  quota.Resize(kMaxMemory);
  builder.SetResourceQuota(quota);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<CallLimit>(server->listener_->peers()));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (auto& service : server->services_) builder.RegisterService(service.get());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) return absl::InternalError("gRPC cannot start. See the lines above.");
  for (const std::string& name : ServiceNames()) {
    server->server_->GetHealthCheckService()->SetServingStatus(name, true);
  }
  server->listener_->Start(
      [grpc = server->server_.get()](int descriptor) { grpc::AddInsecureChannelFromFd(grpc, descriptor); });
  return server;
}

void GrpcServer::Shutdown(absl::Duration patience) {
  if (server_ == nullptr) return;
  listener_->Stop();
  if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(false);
  loop_->Run([this] { hub_->CloseAll(); });  // Lets those that watch or wait end by themselves.
  server_->Shutdown(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                 gpr_time_from_nanos(absl::ToInt64Nanoseconds(patience), GPR_TIMESPAN)));
  server_->Wait();
}

GrpcServer::~GrpcServer() {
  // The caller's loop may be this thread's: a shutdown that waits for handlers must have been done before.
  if (server_ != nullptr) server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
  server_.reset();
}

}  // namespace librettos::daemon
