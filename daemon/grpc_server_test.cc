// The real gRPC server on a socket of its own, the real event loop, a fake hypervisor.
#include "daemon/grpc_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "daemon/errors.h"
#include "daemon/testing/served_daemon.h"
#include "librettos/v1/guest.grpc.pb.h"
#include "librettos/v1/nic.grpc.pb.h"
#include "librettos/v1/operation.grpc.pb.h"
#include "librettos/v1/statistics.grpc.pb.h"

namespace librettos::daemon {
namespace {

class GrpcServerTest : public ::testing::Test, protected ServedDaemon {
 protected:
  static v1::CreateNicRequest NicRequest(const std::string& id) {
    v1::CreateNicRequest request;
    request.mutable_nic()->set_name("nics/" + id);
    request.mutable_nic()->mutable_spec()->mutable_tap()->set_interface("tap-" + id);
    return request;
  }
  grpc::Status CreateNic(const v1::CreateNicRequest& request) {
    grpc::ClientContext context;
    v1::Nic response;
    return v1::Nics::NewStub(channel_)->CreateNic(&context, request, &response);
  }
};

TEST_F(GrpcServerTest, SocketIsForItsGroupOnly) {
  struct stat info;
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
}

TEST_F(GrpcServerTest, CallsErrorsAndDetails) {
  EXPECT_TRUE(CreateNic(NicRequest("a")).ok());
  grpc::Status status = CreateNic(NicRequest("a"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  v1::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(status.error_details()));
  EXPECT_EQ(info.reason(), v1::ErrorInfo::NAME_TAKEN);
  EXPECT_EQ(info.resource(), "nics/a");
  EXPECT_NE(status.error_message(), "");
}

TEST_F(GrpcServerTest, OversizedMessagesAreRefused) {
  v1::CreateNicRequest request = NicRequest("a");
  request.set_request_id(std::string(kMaxMessageBytes + 1, 'x'));
  EXPECT_EQ(CreateNic(request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(CreateNic(NicRequest("a")).ok()) << "and nothing had been changed";
}

// Debian has the services for health and reflection, but not their stubs: their messages in bytes.

// HealthCheckRequest.service is field 1.
std::string HealthRequest(const std::string& service) {
  return absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service);
}
// HealthCheckResponse.status is field 1; 1 is SERVING, 2 NOT_SERVING.
constexpr char kServing[] = "\x08\x01", kNotServing[] = "\x08\x02";

TEST_F(GrpcServerTest, HealthOfTheDaemonAndOfEachService) {
  std::vector<std::string> services = ServiceNames();
  services.push_back("");
  for (const std::string& service : services) {
    RawCall call(channel_, "/grpc.health.v1.Health/Check", HealthRequest(service));
    EXPECT_EQ(call.Read(), kServing) << service;
    EXPECT_TRUE(call.Finish().ok()) << service;
  }
}

TEST_F(GrpcServerTest, HealthOfAnUnknownServiceIsNotFound) {
  RawCall call(channel_, "/grpc.health.v1.Health/Check", HealthRequest("librettos.v1.Things"));
  EXPECT_EQ(call.Read(), std::nullopt);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(GrpcServerTest, HealthWatchersLearnOfTheEnd) {
  RawCall call(channel_, "/grpc.health.v1.Health/Watch", HealthRequest(ServiceNames().front()));
  EXPECT_EQ(call.Read(), kServing);
  std::thread stopper([this] { server_->Shutdown(absl::Seconds(10)); });
  EXPECT_EQ(call.Read(), kNotServing);
  call.Cancel();
  call.Finish();
  stopper.join();
}

TEST_F(GrpcServerTest, ReflectionListsTheServices) {
  // ServerReflectionRequest.list_services is field 7.
  RawCall call(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               std::string("\x3a\x00", 2));
  const std::string answer = call.Read().value_or("");
  for (const std::string& service : ServiceNames()) {
    EXPECT_NE(answer.find(service), std::string::npos) << service;
  }
  EXPECT_NE(answer.find("grpc.health.v1.Health"), std::string::npos);
  EXPECT_EQ(call.Read(), std::nullopt);
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(GrpcServerTest, WatchGivesTheStateThenChangesThenDeletions) {
  ASSERT_TRUE(CreateNic(NicRequest("a")).ok());
  grpc::ClientContext context;
  auto reader = v1::Statistics::NewStub(channel_)->Watch(&context, v1::WatchRequest());
  v1::WatchResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.nic().name(), "nics/a");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_TRUE(response.synced());
  ASSERT_TRUE(CreateNic(NicRequest("b")).ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.nic().name(), "nics/b");
  grpc::ClientContext delete_context;
  v1::DeleteNicRequest request;
  request.set_name("nics/a");
  v1::DeleteNicResponse deleted;
  ASSERT_TRUE(v1::Nics::NewStub(channel_)->DeleteNic(&delete_context, request, &deleted).ok());
  do {
    ASSERT_TRUE(reader->Read(&response));
  } while (!response.has_deleted());
  EXPECT_EQ(response.deleted(), "nics/a");
  context.TryCancel();
  reader->Finish();
}

TEST_F(GrpcServerTest, WatchOfAnUnknownCollectionIsRefused) {
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.add_collections("things");
  auto reader = v1::Statistics::NewStub(channel_)->Watch(&context, request);
  v1::WatchResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, WaitEndsWithTheOperation) {
  std::string name;
  loop_->Run([&] { name = controller_->operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/g", "x"); });
  auto stub = v1::Operations::NewStub(channel_);
  v1::WaitOperationRequest request;
  request.set_name(name);
  request.mutable_timeout();  // Zero: answers with the state as it is.
  v1::Operation operation;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->WaitOperation(&context, request, &operation).ok());
    EXPECT_EQ(operation.state(), v1::Operation::RUNNING);
  }
  request.clear_timeout();
  auto waiting = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    return stub->WaitOperation(&context, request, &operation);
  });
  loop_->Run([&] { controller_->operations.Succeed(name, "done", std::nullopt); });
  ASSERT_TRUE(waiting.get().ok());
  EXPECT_EQ(operation.state(), v1::Operation::SUCCEEDED);
}

TEST_F(GrpcServerTest, ManyClientsAtOnce) {
  std::vector<std::thread> clients;
  std::atomic<int> failures = 0;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 10; ++i)
        failures += CreateNic(NicRequest(absl::StrCat("n", c, "x", i))).ok() ? 0 : 1;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failures, 0);
}

TEST(RoleGroupsTest, RootAndOperatorsAndViewersAndNobodyElse) {
  const RoleGroups groups{.operators_name = "ops", .operators = 100, .viewers = 200};
  const uid_t user = geteuid() + 4711;
  EXPECT_EQ(groups.RoleOf(0, {}), Role::kOperator);
  EXPECT_EQ(groups.RoleOf(geteuid(), {}), Role::kOperator);
  EXPECT_EQ(groups.RoleOf(user, {7, 100}), Role::kOperator);
  EXPECT_EQ(groups.RoleOf(user, {200}), Role::kViewer);
  EXPECT_EQ(groups.RoleOf(user, {200, 100}), Role::kOperator);
  EXPECT_EQ(groups.RoleOf(user, {7}), Role::kNone);
  EXPECT_EQ((RoleGroups{.operators_name = {}, .operators = 0, .viewers = {}}.RoleOf(user, {200})),
            Role::kNone);
}

TEST(PeersTest, KnownByTheNameThatGrpcGivesAConnection) {
  Peers peers(RoleGroups{});
  peers.Add(7, {.uid = 1000, .pid = 12, .role = Role::kViewer});
  EXPECT_EQ(peers.Find("fd:7").uid, 1000u);
  EXPECT_EQ(peers.Find("fd:7").role, Role::kViewer);
  peers.Add(7, {.uid = 0, .pid = 13, .role = Role::kOperator});
  EXPECT_EQ(peers.Find("fd:7").role, Role::kOperator);
  for (const char* unknown : {"fd:8", "fd:", "fd:7x", "unix:", "ipv4:127.0.0.1:7", ""}) {
    EXPECT_EQ(peers.Find(unknown).role, Role::kNone) << unknown;
  }
}

TEST(PeersTest, AViewersConnectionsAreBoundedAndForgotten) {
  Peers peers(RoleGroups{});
  const Peer viewer = {.uid = 1000, .pid = 12, .role = Role::kViewer};
  std::vector<int> sockets;
  for (int i = 0; i < kMaxConnectionsPerViewer; ++i) {
    sockets.push_back(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_TRUE(peers.Add(sockets.back(), viewer));
  }
  const int one_more = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_FALSE(peers.Add(one_more, viewer));
  EXPECT_TRUE(peers.Add(one_more, {.uid = 1001, .pid = 13, .role = Role::kViewer}));
  EXPECT_TRUE(peers.Add(one_more, {.uid = 1000, .pid = 12, .role = Role::kOperator}));
  // The number of one that was closed may be another file's by now.
  close(sockets.back());
  sockets.back() = dup(one_more);
  EXPECT_TRUE(peers.Add(one_more, viewer));
  for (int descriptor : sockets) close(descriptor);
  close(one_more);
}

TEST(PeersTest, AConnectionWithTooManyCallsIsBroken) {
  Peers peers(RoleGroups{});
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  peers.Add(ends[0], {.uid = 0, .pid = 12, .role = Role::kOperator});
  const std::string name = absl::StrCat("fd:", ends[0]);
  std::vector<std::shared_ptr<const void>> calls;
  for (int i = 0; i < kMaxCallsPerConnection; ++i) calls.push_back(peers.Enter(name));
  calls.pop_back();
  calls.push_back(peers.Enter(name));
  char byte;
  EXPECT_EQ(read(ends[1], &byte, 1), -1) << "one more after another has ended: it is not broken";
  calls.push_back(peers.Enter(name));
  EXPECT_EQ(read(ends[1], &byte, 1), 0) << "it is broken";
  EXPECT_EQ(peers.Enter("fd:x"), nullptr);
  close(ends[0]);
  close(ends[1]);
}

TEST(GrpcSocketTest, AFileThatIsNoSocketIsLeftAlone) {
  std::string name = "/tmp/file-XXXXXX";
  std::string directory = mkdtemp(name.data());
  std::ofstream(directory + "/s") << "mine";
  auto loop = *EventLoop::Create();
  LoopScheduler scheduler(*loop);
  hypervisor::FakeHypervisor hv;
  WatchHub hub;
  Store store(directory);
  Controller controller(scheduler, hv, store, hub);
  Api api(controller);
  EXPECT_FALSE(GrpcServer::Create(directory + "/s", {}, *loop, api, hub).ok());
  EXPECT_EQ(std::filesystem::file_size(directory + "/s"), 4u);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace librettos::daemon
