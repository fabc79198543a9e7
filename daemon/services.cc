#include "daemon/services.h"

#include "daemon/caller.h"
#include "librettos/v1/channel.grpc.pb.h"
#include "librettos/v1/guest.grpc.pb.h"
#include "librettos/v1/network_server.grpc.pb.h"
#include "librettos/v1/nic.grpc.pb.h"
#include "librettos/v1/operation.grpc.pb.h"
#include "librettos/v1/statistics.grpc.pb.h"

namespace librettos::daemon {
namespace {

// One line per method: its request's type is <Method>Request, its name that of the Api's method.
#define LIBRETTOS_READ(method, response_type)                                                                \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context, const v1::method##Request* request, \
                                   v1::response_type* response) override {                                   \
    return caller_.Read(context, [=](Api& api) { return api.method(*request, response); });                  \
  }
#define LIBRETTOS_MUTATE_BY(how, method, response_type, resource)                                            \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context, const v1::method##Request* request, \
                                   v1::response_type* response) override {                                   \
    return caller_.how(context, #method, request->request_id(), request->resource,                           \
                       [=](Api& api) { return api.method(*request, response); });                            \
  }
#define LIBRETTOS_MUTATE(method, response_type, resource) \
  LIBRETTOS_MUTATE_BY(Mutate, method, response_type, resource)
#define LIBRETTOS_DELETE(method, response_type) \
  LIBRETTOS_MUTATE_BY(MutateAndAwaitDeletion, method, response_type, name())

class NetworkServersService : public v1::NetworkServers::CallbackService {
 public:
  explicit NetworkServersService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_MUTATE(CreateNetworkServer, NetworkServer, network_server().name())
  LIBRETTOS_READ(GetNetworkServer, NetworkServer)
  LIBRETTOS_READ(ListNetworkServers, ListNetworkServersResponse)
  LIBRETTOS_DELETE(DeleteNetworkServer, DeleteNetworkServerResponse)
  LIBRETTOS_MUTATE(UpgradeNetworkServer, Operation, name())
  LIBRETTOS_MUTATE(FailNetworkServer, NetworkServer, name())

 private:
  Caller& caller_;
};

class GuestsService : public v1::Guests::CallbackService {
 public:
  explicit GuestsService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_MUTATE(CreateGuest, Guest, guest().name())
  LIBRETTOS_READ(GetGuest, Guest)
  LIBRETTOS_READ(ListGuests, ListGuestsResponse)
  LIBRETTOS_DELETE(DeleteGuest, DeleteGuestResponse)
  LIBRETTOS_MUTATE(SetGuestMode, Operation, name())

 private:
  Caller& caller_;
};

class NicsService : public v1::Nics::CallbackService {
 public:
  explicit NicsService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_MUTATE(CreateNic, Nic, nic().name())
  LIBRETTOS_READ(GetNic, Nic)
  LIBRETTOS_READ(ListNics, ListNicsResponse)
  LIBRETTOS_DELETE(DeleteNic, DeleteNicResponse)

 private:
  Caller& caller_;
};

class OperationsService : public v1::Operations::CallbackService {
 public:
  explicit OperationsService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_READ(GetOperation, Operation)
  LIBRETTOS_READ(ListOperations, ListOperationsResponse)
  grpc::ServerUnaryReactor* WaitOperation(grpc::CallbackServerContext* context,
                                          const v1::WaitOperationRequest* request,
                                          v1::Operation* response) override {
    return caller_.Wait(context, request, response);
  }

 private:
  Caller& caller_;
};

class ChannelsService : public v1::Channels::CallbackService {
 public:
  explicit ChannelsService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_READ(GetChannel, Channel)
  LIBRETTOS_READ(ListChannels, ListChannelsResponse)

 private:
  Caller& caller_;
};

class StatisticsService : public v1::Statistics::CallbackService {
 public:
  explicit StatisticsService(Caller& caller) : caller_(caller) {}
  LIBRETTOS_READ(GetStatistics, GetStatisticsResponse)
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest* request) override {
    return caller_.Watch(context, request);
  }

 private:
  Caller& caller_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(Caller& caller) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<NetworkServersService>(caller));
  services.push_back(std::make_unique<GuestsService>(caller));
  services.push_back(std::make_unique<NicsService>(caller));
  services.push_back(std::make_unique<OperationsService>(caller));
  services.push_back(std::make_unique<ChannelsService>(caller));
  services.push_back(std::make_unique<StatisticsService>(caller));
  return services;
}

std::vector<std::string> ServiceNames() {
  return {v1::NetworkServers::service_full_name(), v1::Guests::service_full_name(),
          v1::Nics::service_full_name(),           v1::Operations::service_full_name(),
          v1::Channels::service_full_name(),       v1::Statistics::service_full_name()};
}

}  // namespace librettos::daemon
