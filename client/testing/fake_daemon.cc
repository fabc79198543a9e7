#include "client/testing/fake_daemon.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/error.h"
#include "client/names.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "librettos/v1/channel.grpc.pb.h"
#include "librettos/v1/guest.grpc.pb.h"
#include "librettos/v1/network_server.grpc.pb.h"
#include "librettos/v1/nic.grpc.pb.h"
#include "librettos/v1/operation.grpc.pb.h"
#include "librettos/v1/statistics.grpc.pb.h"

namespace librettos {
namespace {

using grpc::ServerContext;
using grpc::Status;

}  // namespace

// All services over one state. `version_` grows with every change; watchers wait for it.
class FakeDaemon::Services : v1::NetworkServers::Service,
                             v1::Guests::Service,
                             v1::Nics::Service,
                             v1::Channels::Service,
                             v1::Operations::Service,
                             v1::Statistics::Service {
 public:
  void Serve(const std::string& socket) {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = false;
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(static_cast<v1::NetworkServers::Service*>(this));
    builder.RegisterService(static_cast<v1::Guests::Service*>(this));
    builder.RegisterService(static_cast<v1::Nics::Service*>(this));
    builder.RegisterService(static_cast<v1::Channels::Service*>(this));
    builder.RegisterService(static_cast<v1::Operations::Service*>(this));
    builder.RegisterService(static_cast<v1::Statistics::Service*>(this));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) abort();
  }

  void Stop() {
    if (server_ == nullptr) return;
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  template <typename Resource>
  void Put(const Resource& resource) {
    absl::MutexLock lock(&mutex_);
    PutLocked(resource);
  }

  void Remove(const std::string& name) {
    absl::MutexLock lock(&mutex_);
    v1::WatchResponse change;
    change.set_deleted(name);
    Erase(name);
    log_.push_back(change);
  }

  v1::GetStatisticsResponse statistics_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::NetworkServer> then_servers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Guest> then_guests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Operation> then_operations_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<absl::Status>> failures_ ABSL_GUARDED_BY(mutex_);
  v1::Operation operation_ ABSL_GUARDED_BY(mutex_);
  int page_size_ ABSL_GUARDED_BY(mutex_) = 1 << 20;
  bool stuck_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  int watches_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Mutex mutex_;

 private:
  void PutLocked(const v1::NetworkServer& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    servers_[r.name()] = r;
    *log_.emplace_back().mutable_network_server() = r;
  }
  void PutLocked(const v1::Guest& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    guests_[r.name()] = r;
    *log_.emplace_back().mutable_guest() = r;
  }
  void PutLocked(const v1::Nic& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    nics_[r.name()] = r;
    *log_.emplace_back().mutable_nic() = r;
  }
  void PutLocked(const v1::Operation& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    operations_[r.name()] = r;
    *log_.emplace_back().mutable_operation() = r;
  }
  void PutLocked(const v1::Channel& r) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { channels_[r.name()] = r; }

  void Erase(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    servers_.erase(name);
    guests_.erase(name);
    nics_.erase(name);
    operations_.erase(name);
  }

  // Notes the call; a status other than OK is to be returned.
  Status Enter(const std::string& method, const google::protobuf::Message& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++calls_[method];
    requests_[method] = request.ShortDebugString();
    auto& failures = failures_[method];
    if (failures.empty()) return Status::OK;
    const absl::Status status = failures.front();
    failures.erase(failures.begin());
    return ToGrpc(status);
  }

  static Status NotFound(const std::string& name) {
    v1::ErrorInfo info;
    info.set_reason(v1::ErrorInfo::NO_SUCH_RESOURCE);
    info.set_resource(name);
    return ToGrpc(WithErrorInfo(absl::NotFoundError(absl::StrCat(name, " does not exist")), info));
  }

  template <typename Map, typename Request, typename Resource>
  Status Get(const char* method, const Map& map, const Request& request, Resource* answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Status status = Enter(method, request); !status.ok()) return status;
    const auto found = map.find(request.name());
    if (found == map.end()) return NotFound(request.name());
    *answer = found->second;
    return Status::OK;
  }

  template <typename Map, typename Request, typename Response, typename Items>
  Status List(const char* method, const Map& map, const Request& request, Response* answer, Items* items)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Status status = Enter(method, request); !status.ok()) return status;
    int at = 0;
    if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &at)) at = 0;
    int index = 0;
    for (const auto& [name, resource] : map) {
      if (index >= at && index < at + page_size_) *items->Add() = resource;
      ++index;
    }
    if (at + page_size_ < index) answer->set_next_page_token(absl::StrCat(at + page_size_));
    if (stuck_) answer->set_next_page_token("0");
    return Status::OK;
  }

  template <typename Map, typename Request>
  Status Delete(const char* method, const Map& map, const Request& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Status status = Enter(method, request); !status.ok()) return status;
    if (map.find(request.name()) == map.end()) return NotFound(request.name());
    const std::string name = request.name();
    Erase(name);
    log_.emplace_back().set_deleted(name);
    return Status::OK;
  }

  // A new resource, and what it becomes at once.
  template <typename Resource, typename Map>
  void Make(Resource resource, const Map& then, Resource* answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    resource.set_etag("1");
    PutLocked(resource);
    *answer = resource;
    if (const auto next = then.find(resource.name()); next != then.end()) PutLocked(next->second);
  }

  Status CreateNetworkServer(ServerContext*, const v1::CreateNetworkServerRequest* q,
                             v1::NetworkServer* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("CreateNetworkServer", *q); !status.ok()) return status;
    v1::NetworkServer server = q->network_server();
    server.mutable_status()->set_state(v1::NetworkServerStatus::STARTING);
    Make(server, then_servers_, a);
    return Status::OK;
  }
  Status GetNetworkServer(ServerContext*, const v1::GetNetworkServerRequest* q,
                          v1::NetworkServer* a) override {
    absl::MutexLock lock(&mutex_);
    return Get("GetNetworkServer", servers_, *q, a);
  }
  Status ListNetworkServers(ServerContext*, const v1::ListNetworkServersRequest* q,
                            v1::ListNetworkServersResponse* a) override {
    absl::MutexLock lock(&mutex_);
    return List("ListNetworkServers", servers_, *q, a, a->mutable_network_servers());
  }
  Status DeleteNetworkServer(ServerContext*, const v1::DeleteNetworkServerRequest* q,
                             v1::DeleteNetworkServerResponse*) override {
    absl::MutexLock lock(&mutex_);
    return Delete("DeleteNetworkServer", servers_, *q);
  }
  Status UpgradeNetworkServer(ServerContext*, const v1::UpgradeNetworkServerRequest* q,
                              v1::Operation* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("UpgradeNetworkServer", *q); !status.ok()) return status;
    PutLocked(*a = operation_);
    return Status::OK;
  }
  Status FailNetworkServer(ServerContext*, const v1::FailNetworkServerRequest* q,
                           v1::NetworkServer* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Get("FailNetworkServer", servers_, *q, a); !status.ok()) return status;
    if (const auto next = then_servers_.find(q->name()); next != then_servers_.end()) PutLocked(next->second);
    return Status::OK;
  }

  Status CreateGuest(ServerContext*, const v1::CreateGuestRequest* q, v1::Guest* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("CreateGuest", *q); !status.ok()) return status;
    v1::Guest guest = q->guest();
    guest.mutable_status()->set_state(v1::GuestStatus::STARTING);
    Make(guest, then_guests_, a);
    return Status::OK;
  }
  Status GetGuest(ServerContext*, const v1::GetGuestRequest* q, v1::Guest* a) override {
    absl::MutexLock lock(&mutex_);
    return Get("GetGuest", guests_, *q, a);
  }
  Status ListGuests(ServerContext*, const v1::ListGuestsRequest* q, v1::ListGuestsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    return List("ListGuests", guests_, *q, a, a->mutable_guests());
  }
  Status DeleteGuest(ServerContext*, const v1::DeleteGuestRequest* q, v1::DeleteGuestResponse*) override {
    absl::MutexLock lock(&mutex_);
    return Delete("DeleteGuest", guests_, *q);
  }
  Status SetGuestMode(ServerContext*, const v1::SetGuestModeRequest* q, v1::Operation* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("SetGuestMode", *q); !status.ok()) return status;
    PutLocked(*a = operation_);
    return Status::OK;
  }

  Status CreateNic(ServerContext*, const v1::CreateNicRequest* q, v1::Nic* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("CreateNic", *q); !status.ok()) return status;
    v1::Nic nic = q->nic();
    nic.mutable_status()->set_state(v1::NicStatus::FREE);
    Make(nic, std::map<std::string, v1::Nic>(), a);
    return Status::OK;
  }
  Status GetNic(ServerContext*, const v1::GetNicRequest* q, v1::Nic* a) override {
    absl::MutexLock lock(&mutex_);
    return Get("GetNic", nics_, *q, a);
  }
  Status ListNics(ServerContext*, const v1::ListNicsRequest* q, v1::ListNicsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    return List("ListNics", nics_, *q, a, a->mutable_nics());
  }
  Status DeleteNic(ServerContext*, const v1::DeleteNicRequest* q, v1::DeleteNicResponse*) override {
    absl::MutexLock lock(&mutex_);
    return Delete("DeleteNic", nics_, *q);
  }

  Status GetChannel(ServerContext*, const v1::GetChannelRequest* q, v1::Channel* a) override {
    absl::MutexLock lock(&mutex_);
    return Get("GetChannel", channels_, *q, a);
  }
  Status ListChannels(ServerContext*, const v1::ListChannelsRequest* q,
                      v1::ListChannelsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    std::map<std::string, v1::Channel> below;
    for (const auto& [name, channel] : channels_) {
      if (q->parent().empty() || absl::StartsWith(name, q->parent() + "/")) below[name] = channel;
    }
    return List("ListChannels", below, *q, a, a->mutable_channels());
  }

  Status GetOperation(ServerContext*, const v1::GetOperationRequest* q, v1::Operation* a) override {
    absl::MutexLock lock(&mutex_);
    return Get("GetOperation", operations_, *q, a);
  }
  Status ListOperations(ServerContext*, const v1::ListOperationsRequest* q,
                        v1::ListOperationsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    return List("ListOperations", operations_, *q, a, a->mutable_operations());
  }
  // Returns as it stands: a real daemon's answer at its time-out, or once it is done.
  Status WaitOperation(ServerContext*, const v1::WaitOperationRequest* q, v1::Operation* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Get("WaitOperation", operations_, *q, a); !status.ok()) return status;
    if (const auto next = then_operations_.find(q->name()); next != then_operations_.end()) {
      PutLocked(next->second);
    }
    return Status::OK;
  }

  Status GetStatistics(ServerContext*, const v1::GetStatisticsRequest* q,
                       v1::GetStatisticsResponse* a) override {
    absl::MutexLock lock(&mutex_);
    if (Status status = Enter("GetStatistics", *q); !status.ok()) return status;
    for (const auto& row : statistics_.resources()) {
      if (q->name().empty() || row.name() == q->name()) *a->add_resources() = row;
    }
    return q->name().empty() || a->resources_size() > 0 ? Status::OK : NotFound(q->name());
  }

  Status Watch(ServerContext* context, const v1::WatchRequest* q,
               grpc::ServerWriter<v1::WatchResponse>* writer) override {
    std::vector<v1::WatchResponse> send;
    size_t at;
    {
      absl::MutexLock lock(&mutex_);
      if (Status status = Enter("Watch", *q); !status.ok()) return status;
      for (const auto& [name, r] : servers_) *send.emplace_back().mutable_network_server() = r;
      for (const auto& [name, r] : guests_) *send.emplace_back().mutable_guest() = r;
      for (const auto& [name, r] : nics_) *send.emplace_back().mutable_nic() = r;
      for (const auto& [name, r] : operations_) *send.emplace_back().mutable_operation() = r;
      send.emplace_back().set_synced(true);
      at = log_.size();
      ++watches_;
    }
    while (true) {
      for (const v1::WatchResponse& change : send) {
        if (Wanted(*q, change) && !writer->Write(change)) break;
      }
      send.clear();
      absl::MutexLock lock(&mutex_);
      const auto ready = [&]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || at < log_.size(); };
      // Now and then, to notice a client that left.
      mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Milliseconds(20));
      if (stopping_ || context->IsCancelled()) {
        --watches_;
        return stopping_ ? Status(grpc::StatusCode::UNAVAILABLE, "shutting down") : Status::CANCELLED;
      }
      send.assign(log_.begin() + at, log_.end());
      at = log_.size();
    }
  }

  static bool Wanted(const v1::WatchRequest& request, const v1::WatchResponse& change) {
    if (request.collections().empty() || change.has_synced()) return true;
    const absl::string_view collection = change.has_network_server() ? "servers"
                                         : change.has_guest()        ? "guests"
                                         : change.has_nic()          ? "nics"
                                         : change.has_operation()    ? "operations"
                                                                     : CollectionOf(change.deleted());
    return std::find(request.collections().begin(), request.collections().end(), collection) !=
           request.collections().end();
  }

  std::map<std::string, v1::NetworkServer> servers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Guest> guests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Nic> nics_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Channel> channels_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WatchResponse> log_ ABSL_GUARDED_BY(mutex_);  // Every change since the start.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::Server> server_;
};

FakeDaemon::FakeDaemon() : services_(std::make_unique<Services>()) {
  char directory[] = "/tmp/librettos.XXXXXX";
  if (mkdtemp(directory) == nullptr) abort();
  directory_ = directory;
  socket_ = directory_ + "/d.sock";
  Serve();
}

FakeDaemon::~FakeDaemon() {
  Stop();
  unlink(socket_.c_str());
  rmdir(directory_.c_str());
}

void FakeDaemon::Serve() { services_->Serve(socket_); }
void FakeDaemon::Stop() { services_->Stop(); }

void FakeDaemon::Put(const v1::NetworkServer& server) { services_->Put(server); }
void FakeDaemon::Put(const v1::Guest& guest) { services_->Put(guest); }
void FakeDaemon::Put(const v1::Nic& nic) { services_->Put(nic); }
void FakeDaemon::Put(const v1::Operation& operation) { services_->Put(operation); }
void FakeDaemon::Put(const v1::Channel& channel) { services_->Put(channel); }
void FakeDaemon::Remove(const std::string& name) { services_->Remove(name); }

void FakeDaemon::SetStatistics(const v1::GetStatisticsResponse& statistics) {
  absl::MutexLock lock(&services_->mutex_);
  services_->statistics_ = statistics;
}
void FakeDaemon::Then(const v1::NetworkServer& server) {
  absl::MutexLock lock(&services_->mutex_);
  services_->then_servers_[server.name()] = server;
}
void FakeDaemon::Then(const v1::Guest& guest) {
  absl::MutexLock lock(&services_->mutex_);
  services_->then_guests_[guest.name()] = guest;
}
void FakeDaemon::Then(const v1::Operation& operation) {
  absl::MutexLock lock(&services_->mutex_);
  services_->then_operations_[operation.name()] = operation;
}
void FakeDaemon::FailNext(const std::string& method, absl::Status status) {
  absl::MutexLock lock(&services_->mutex_);
  services_->failures_[method].push_back(std::move(status));
}
void FakeDaemon::SetOperation(const v1::Operation& operation) {
  absl::MutexLock lock(&services_->mutex_);
  services_->operation_ = operation;
}
void FakeDaemon::SetPageSize(int size) {
  absl::MutexLock lock(&services_->mutex_);
  services_->page_size_ = size;
}
void FakeDaemon::SetPageTokenStuck(bool stuck) {
  absl::MutexLock lock(&services_->mutex_);
  services_->stuck_ = stuck;
}
std::string FakeDaemon::Request(const std::string& method) {
  absl::MutexLock lock(&services_->mutex_);
  return services_->requests_[method];
}
int FakeDaemon::Calls(const std::string& method) {
  absl::MutexLock lock(&services_->mutex_);
  return services_->calls_[method];
}
void FakeDaemon::AwaitWatches(int count) {
  absl::MutexLock lock(&services_->mutex_);
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(services_->mutex_) {
    return services_->watches_ >= count;
  };
  services_->mutex_.Await(absl::Condition(&enough));
}

}  // namespace librettos
