#include "daemon/grpc_server.h"

#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"

namespace librettos::daemon {
namespace {

constexpr int kMaxThreads = 256;
constexpr size_t kMaxMemory = 64 << 20;
constexpr int kMaxStreamsPerConnection = 128;

absl::Status RemoveStaleSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " exists and is not a socket. Move it away, or give another --socket."));
  }
  if (unlink(path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot remove the stale socket ", path, ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(const std::string& socket,
                                                               const std::string& group, EventLoop& loop,
                                                               Api& api, WatchHub& hub) {
  if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the socket path ", socket, " is too long. Give a shorter --socket."));
  }
  if (auto status = RemoveStaleSocket(socket); !status.ok()) return status;
  // Never matched by grpc_shutdown: after a large write that had to wait, the last shutdown of gRPC 1.51
  // joins a poller that sleeps for up to 10 s, by which the end of the process would be late.
  static const bool kept = (grpc_init(), true);
  (void)kept;
  auto server = std::unique_ptr<GrpcServer>(new GrpcServer);
  server->socket_ = socket;
  server->hub_ = &hub;
  server->services_ = MakeServices(loop, api, hub);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", socket), grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  grpc::ResourceQuota quota("librettosd");
  quota.SetMaxThreads(kMaxThreads);
  quota.Resize(kMaxMemory);
  builder.SetResourceQuota(quota);
  for (auto& service : server->services_) builder.RegisterService(service.get());
  mode_t before = umask(0117);  // 0660 from the first moment on.
  server->server_ = builder.BuildAndStart();
  umask(before);
  if (server->server_ == nullptr) {
    return absl::InternalError(
        absl::StrCat("cannot listen on ", socket, ". See the lines above, and check its directory."));
  }
  if (!group.empty()) {
    const struct group* entry = getgrnam(group.c_str());
    if (entry == nullptr || chown(socket.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0) {
      return absl::InternalError(absl::StrCat("cannot give ", socket, " to the group ", group,
                                              ". Check that the group exists, or leave out --socket_group."));
    }
  }
  for (const std::string& name : ServiceNames()) {
    server->server_->GetHealthCheckService()->SetServingStatus(name, true);
  }
  return server;
}

void GrpcServer::Shutdown(absl::Duration patience) {
  if (server_ == nullptr) return;
  if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(false);
  hub_->CloseAll();  // Lets those that watch or wait end by themselves.
  server_->Shutdown(absl::ToChronoTime(absl::Now() + patience));
  server_->Wait();
}

GrpcServer::~GrpcServer() {
  // The caller's loop may be this thread's: a shutdown that waits for handlers must have been done before.
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
  unlink(socket_.c_str());
}

}  // namespace librettos::daemon
