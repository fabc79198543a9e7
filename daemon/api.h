// The API's methods, as plain functions on the loop thread; daemon/services.h puts them behind gRPC.
//
// A mutating method either returns OK and is durable, or has changed nothing. Everything is checked before
// the first change; the change is committed before anything is started; a repeated request_id gets the first
// answer.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "daemon/controller.h"
#include "librettos/v1/channel.pb.h"
#include "librettos/v1/statistics.pb.h"

namespace librettos::daemon {

class Api {
 public:
  explicit Api(Controller& controller) : c_(controller), model_(controller.model) {}

  absl::Status CreateNetworkServer(const v1::CreateNetworkServerRequest& request,
                                   v1::NetworkServer* response);
  absl::Status GetNetworkServer(const v1::GetNetworkServerRequest& request, v1::NetworkServer* response);
  absl::Status ListNetworkServers(const v1::ListNetworkServersRequest& request,
                                  v1::ListNetworkServersResponse* response);
  absl::Status DeleteNetworkServer(const v1::DeleteNetworkServerRequest& request,
                                   v1::DeleteNetworkServerResponse* response);
  absl::Status UpgradeNetworkServer(const v1::UpgradeNetworkServerRequest& request, v1::Operation* response);
  absl::Status FailNetworkServer(const v1::FailNetworkServerRequest& request, v1::NetworkServer* response);

  absl::Status CreateGuest(const v1::CreateGuestRequest& request, v1::Guest* response);
  absl::Status GetGuest(const v1::GetGuestRequest& request, v1::Guest* response);
  absl::Status ListGuests(const v1::ListGuestsRequest& request, v1::ListGuestsResponse* response);
  absl::Status DeleteGuest(const v1::DeleteGuestRequest& request, v1::DeleteGuestResponse* response);
  absl::Status SetGuestMode(const v1::SetGuestModeRequest& request, v1::Operation* response);

  absl::Status CreateNic(const v1::CreateNicRequest& request, v1::Nic* response);
  absl::Status GetNic(const v1::GetNicRequest& request, v1::Nic* response);
  absl::Status ListNics(const v1::ListNicsRequest& request, v1::ListNicsResponse* response);
  absl::Status DeleteNic(const v1::DeleteNicRequest& request, v1::DeleteNicResponse* response);

  absl::Status GetOperation(const v1::GetOperationRequest& request, v1::Operation* response);
  absl::Status ListOperations(const v1::ListOperationsRequest& request, v1::ListOperationsResponse* response);

  absl::Status GetChannel(const v1::GetChannelRequest& request, v1::Channel* response);
  absl::Status ListChannels(const v1::ListChannelsRequest& request, v1::ListChannelsResponse* response);

  absl::Status GetStatistics(const v1::GetStatisticsRequest& request, v1::GetStatisticsResponse* response);

  // The present state of a resource for watchers; `deleted` if it is gone.
  v1::WatchResponse Describe(const std::string& name);
  // All names of the collections ("servers/", …; empty: all).
  std::vector<std::string> NamesIn(const std::vector<std::string>& prefixes);
  // Whether a resource of that name is there (also while it is being deleted).
  bool Exists(const std::string& name);

 private:
  // Commits with the answer remembered; on failure forgets it, so that the caller undoes its change.
  absl::Status CommitAnswer(const std::string& request_id, absl::string_view method,
                            const google::protobuf::Message& request,
                            const google::protobuf::Message& response);

  Controller& c_;
  Model& model_;
};

}  // namespace librettos::daemon
