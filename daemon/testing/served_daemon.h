// The real gRPC server on a socket of its own, the real event loop in a thread, a fake hypervisor; and calls
// in bytes.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "daemon/api.h"
#include "daemon/controller.h"
#include "daemon/grpc_server.h"
#include "daemon/loop_scheduler.h"
#include "daemon/testing/fake_hypervisor.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace librettos::daemon {

class ServedDaemon {
 public:
  ServedDaemon() {
    // Not TempDir(): a socket's path has at most 107 characters.
    std::string name = "/tmp/grpc-XXXXXX";
    directory_ = mkdtemp(name.data());
    socket_ = directory_ + "/s";
    loop_ = *EventLoop::Create();
    scheduler_ = std::make_unique<LoopScheduler>(*loop_);
    store_ = std::make_unique<Store>(directory_);
    controller_ = std::make_unique<Controller>(*scheduler_, hv_, *store_, hub_);
    EXPECT_TRUE(controller_->Recover().ok());
    api_ = std::make_unique<Api>(*controller_);
    auto server = GrpcServer::Create(socket_, {}, *loop_, *api_, hub_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    thread_ = std::thread([this] { loop_->Loop(); });
    channel_ = grpc::CreateChannel("unix:" + socket_, grpc::InsecureChannelCredentials());
  }
  ~ServedDaemon() {
    server_->Shutdown(absl::ZeroDuration());
    loop_->Stop();
    thread_.join();
    server_.reset();
    EXPECT_FALSE(std::filesystem::exists(socket_)) << "the socket is removed";
    std::filesystem::remove_all(directory_);
  }
  ServedDaemon(const ServedDaemon&) = delete;

  std::string directory_, socket_;
  hypervisor::FakeHypervisor hv_;  // Loop thread only.
  WatchHub hub_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LoopScheduler> scheduler_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<GrpcServer> server_;
  std::thread thread_;
  std::shared_ptr<grpc::Channel> channel_;
};

// One call of any method ("/librettos.v1.Guests/GetGuest"), without a stub.
class RawCall {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
          const std::string& request)
      : stub_(channel), call_(stub_.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(nullptr);
    Await();
    const grpc::Slice slice(request);
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    Await();
  }
  // The next answer; nothing if the call has ended.
  std::optional<std::string> Read() {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, nullptr);
    if (!Await()) return std::nullopt;
    grpc::Slice slice;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
    return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  grpc::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Await();
    return status;
  }
  void Cancel() { context_.TryCancel(); }

 private:
  bool Await() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace librettos::daemon
