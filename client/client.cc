#include "client/client.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/monotonic.h"
#include "client/names.h"
#include "client/socket.h"
#include "google/protobuf/util/time_util.h"
#include "grpc/support/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace librettos {
namespace {

// One WaitOperation call's longest; the API's own limit is 10 min.
constexpr absl::Duration kWaitStep = absl::Seconds(60);
// Between attempts while the daemon says that it cannot answer now.
constexpr absl::Duration kRetryPause = absl::Milliseconds(50);
// A page has at most 1000 resources of some hundred bytes; statistics of 256 guests some hundred KiB.
constexpr int kMaxAnswerBytes = 64 << 20;

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  if (timeout >= kEndless) return;
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_nanos(absl::ToInt64Nanoseconds(timeout), GPR_TIMESPAN)));
}

template <typename Request, typename Response, typename Stub>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

template <typename Request, typename Response, typename Stub>
absl::StatusOr<Response> Call(const ClientOptions& options, Stub& stub,
                              Method<Request, Response, Stub> method, const Request& request) {
  grpc::ClientContext context;
  SetDeadline(context, options.deadline);
  context.set_wait_for_ready(options.wait_for_ready);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

template <typename Request, typename Response, typename Stub>
absl::StatusOr<Response> CallByName(const ClientOptions& options, Stub& stub,
                                    Method<Request, Response, Stub> method, absl::string_view name) {
  Request request;
  request.set_name(std::string(name));
  return Call(options, stub, method, request);
}

// Every page of a list. `items` picks a page's resources.
template <typename Resource, typename Request, typename Response, typename Stub, typename Items>
absl::StatusOr<std::vector<Resource>> CallList(const ClientOptions& options, Stub& stub,
                                               Method<Request, Response, Stub> method, Request request,
                                               Items items) {
  std::vector<Resource> all;
  while (true) {
    absl::StatusOr<Response> page = Call(options, stub, method, request);
    if (!page.ok()) return page.status();
    for (Resource& item : *items(*page)) all.push_back(std::move(item));
    if (page->next_page_token().empty()) return all;
    // A token that does not move on would have us ask for ever.
    if (page->next_page_token() == request.page_token()) {
      return absl::InternalError("the daemon's list does not end: it gave the same page token twice");
    }
    request.set_page_token(page->next_page_token());
  }
}

template <typename Resource>
absl::StatusOr<Resource> Await(Client& client, absl::string_view name, absl::Duration timeout,
                               absl::FunctionRef<bool(const Resource&)> done,
                               const Resource* (*of)(const v1::WatchResponse&)) {
  v1::WatchRequest request;
  request.add_collections(std::string(CollectionOf(name)));
  std::optional<Resource> found;
  bool seen = false;
  bool gone = false;
  absl::Status status = client.RunWatch(request, timeout, [&](const v1::WatchResponse& change) {
    const Resource* resource = of(change);
    if (resource != nullptr && resource->name() == name) {
      seen = true;
      if (done(*resource)) found = *resource;
    }
    gone = (change.synced() && !seen) || (change.has_deleted() && change.deleted() == name);
    return !found.has_value() && !gone;
  });
  if (found.has_value()) return *found;
  if (gone)
    return absl::NotFoundError(absl::StrCat(name, seen ? " was deleted meanwhile" : " does not exist"));
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError(
        absl::StrCat(name, " did not get there within ", absl::FormatDuration(timeout)));
  }
  return status;
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : servers(channel),
        guests(channel),
        nics(channel),
        channels(channel),
        operations(channel),
        statistics(channel) {}
  v1::NetworkServers::Stub servers;
  v1::Guests::Stub guests;
  v1::Nics::Stub nics;
  v1::Channels::Stub channels;
  v1::Operations::Stub operations;
  v1::Statistics::Stub statistics;
};

Client::Client(ClientOptions options, std::unique_ptr<Stubs> stubs)
    : options_(std::move(options)), stubs_(std::move(stubs)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const ClientOptions& options) {
  if (options.deadline <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the deadline of calls must be positive");
  }
  if (absl::Status status = CheckSocketPath(options.socket); !status.ok()) return status;
  if (!options.wait_for_ready) {
    if (absl::Status status = ProbeSocket(options.socket); !status.ok()) return status;
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // The daemon is back within a fraction of a second after a restart; gRPC's own first pause is a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // In spite of its name how long a connection may take to come up (grpc's doc/connection-backoff.md): on a
  // busy host longer than a pause.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Else a new client would inherit the back-off of an older one in the process.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel =
      grpc::CreateCustomChannel(SocketUri(options.socket), grpc::InsecureChannelCredentials(), arguments);
  return std::unique_ptr<Client>(new Client(options, std::make_unique<Stubs>(channel)));
}

absl::StatusOr<v1::NetworkServer> Client::CreateNetworkServer(const v1::CreateNetworkServerRequest& request) {
  return Call(options_, stubs_->servers, &v1::NetworkServers::Stub::CreateNetworkServer, request);
}
absl::StatusOr<v1::NetworkServer> Client::GetNetworkServer(absl::string_view name) {
  return CallByName(options_, stubs_->servers, &v1::NetworkServers::Stub::GetNetworkServer, name);
}
absl::StatusOr<std::vector<v1::NetworkServer>> Client::ListNetworkServers() {
  return CallList<v1::NetworkServer>(options_, stubs_->servers, &v1::NetworkServers::Stub::ListNetworkServers,
                                     v1::ListNetworkServersRequest(),
                                     [](auto& page) { return page.mutable_network_servers(); });
}
absl::Status Client::DeleteNetworkServer(const v1::DeleteNetworkServerRequest& request) {
  return Call(options_, stubs_->servers, &v1::NetworkServers::Stub::DeleteNetworkServer, request).status();
}
absl::StatusOr<v1::Operation> Client::UpgradeNetworkServer(const v1::UpgradeNetworkServerRequest& request) {
  return Call(options_, stubs_->servers, &v1::NetworkServers::Stub::UpgradeNetworkServer, request);
}
absl::StatusOr<v1::NetworkServer> Client::FailNetworkServer(const v1::FailNetworkServerRequest& request) {
  return Call(options_, stubs_->servers, &v1::NetworkServers::Stub::FailNetworkServer, request);
}

absl::StatusOr<v1::Guest> Client::CreateGuest(const v1::CreateGuestRequest& request) {
  return Call(options_, stubs_->guests, &v1::Guests::Stub::CreateGuest, request);
}
absl::StatusOr<v1::Guest> Client::GetGuest(absl::string_view name) {
  return CallByName(options_, stubs_->guests, &v1::Guests::Stub::GetGuest, name);
}
absl::StatusOr<std::vector<v1::Guest>> Client::ListGuests() {
  return CallList<v1::Guest>(options_, stubs_->guests, &v1::Guests::Stub::ListGuests, v1::ListGuestsRequest(),
                             [](auto& page) { return page.mutable_guests(); });
}
absl::Status Client::DeleteGuest(const v1::DeleteGuestRequest& request) {
  return Call(options_, stubs_->guests, &v1::Guests::Stub::DeleteGuest, request).status();
}
absl::StatusOr<v1::Operation> Client::SetGuestMode(const v1::SetGuestModeRequest& request) {
  return Call(options_, stubs_->guests, &v1::Guests::Stub::SetGuestMode, request);
}

absl::StatusOr<v1::Nic> Client::CreateNic(const v1::CreateNicRequest& request) {
  return Call(options_, stubs_->nics, &v1::Nics::Stub::CreateNic, request);
}
absl::StatusOr<v1::Nic> Client::GetNic(absl::string_view name) {
  return CallByName(options_, stubs_->nics, &v1::Nics::Stub::GetNic, name);
}
absl::StatusOr<std::vector<v1::Nic>> Client::ListNics() {
  return CallList<v1::Nic>(options_, stubs_->nics, &v1::Nics::Stub::ListNics, v1::ListNicsRequest(),
                           [](auto& page) { return page.mutable_nics(); });
}
absl::Status Client::DeleteNic(const v1::DeleteNicRequest& request) {
  return Call(options_, stubs_->nics, &v1::Nics::Stub::DeleteNic, request).status();
}

absl::StatusOr<v1::Channel> Client::GetChannel(absl::string_view name) {
  return CallByName(options_, stubs_->channels, &v1::Channels::Stub::GetChannel, name);
}
absl::StatusOr<std::vector<v1::Channel>> Client::ListChannels(absl::string_view parent) {
  v1::ListChannelsRequest request;
  request.set_parent(std::string(parent));
  return CallList<v1::Channel>(options_, stubs_->channels, &v1::Channels::Stub::ListChannels, request,
                               [](auto& page) { return page.mutable_channels(); });
}

absl::StatusOr<v1::Operation> Client::GetOperation(absl::string_view name) {
  return CallByName(options_, stubs_->operations, &v1::Operations::Stub::GetOperation, name);
}
absl::StatusOr<std::vector<v1::Operation>> Client::ListOperations() {
  return CallList<v1::Operation>(options_, stubs_->operations, &v1::Operations::Stub::ListOperations,
                                 v1::ListOperationsRequest(),
                                 [](auto& page) { return page.mutable_operations(); });
}

absl::StatusOr<v1::Operation> Client::WaitOperation(absl::string_view name, absl::Duration timeout) {
  using google::protobuf::util::TimeUtil;
  const absl::Duration end = Monotonic() + timeout;
  while (true) {
    const absl::Duration left = std::max(end - Monotonic(), absl::ZeroDuration());
    const absl::Duration step = std::min(left, kWaitStep);
    v1::WaitOperationRequest request;
    request.set_name(std::string(name));
    // At least 1 ms: unset and 0 mean the default.
    *request.mutable_timeout() =
        TimeUtil::MillisecondsToDuration(std::max<int64_t>(1, absl::ToInt64Milliseconds(step)));
    // The daemon answers at its own time-out; the call's deadline is only for a daemon that does not.
    ClientOptions options = options_;
    options.deadline = step + options_.deadline;
    options.wait_for_ready = true;
    absl::StatusOr<v1::Operation> operation =
        Call(options, stubs_->operations, &v1::Operations::Stub::WaitOperation, request);
    if (!operation.ok() && !absl::IsUnavailable(operation.status())) return operation;
    if (operation.ok() && operation->state() != v1::Operation::RUNNING) return operation;
    if (Monotonic() >= end) {
      if (!operation.ok()) return operation;
      return absl::DeadlineExceededError(
          absl::StrCat(name, " still runs after ", absl::FormatDuration(timeout),
                       operation->message().empty() ? "" : ": ", operation->message()));
    }
    if (!operation.ok()) absl::SleepFor(std::min(kRetryPause, end - Monotonic()));
  }
}

absl::StatusOr<v1::GetStatisticsResponse> Client::GetStatistics(absl::string_view name) {
  return CallByName(options_, stubs_->statistics, &v1::Statistics::Stub::GetStatistics, name);
}

absl::Status Client::RunWatch(const v1::WatchRequest& request, absl::Duration timeout,
                              absl::FunctionRef<bool(const v1::WatchResponse&)> callback) {
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  context.set_wait_for_ready(options_.wait_for_ready);
  auto reader = stubs_->statistics.Watch(&context, request);
  v1::WatchResponse change;
  while (reader->Read(&change)) {
    if (callback(change)) continue;
    context.TryCancel();
    reader->Finish();  // Cancelled by us: nothing to learn from it.
    return absl::OkStatus();
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? absl::UnavailableError("the daemon ended the watch") : FromGrpc(status);
}

std::unique_ptr<Watch> Client::StartWatch(const v1::WatchRequest& request, Watch::Callback callback) {
  return std::make_unique<Watch>(&stubs_->statistics, request, options_.wait_for_ready, std::move(callback));
}

absl::StatusOr<v1::NetworkServer> Client::AwaitNetworkServer(
    absl::string_view name, absl::Duration timeout, absl::FunctionRef<bool(const v1::NetworkServer&)> done) {
  return Await<v1::NetworkServer>(
      *this, name, timeout, done,
      +[](const v1::WatchResponse& c) { return c.has_network_server() ? &c.network_server() : nullptr; });
}

absl::StatusOr<v1::Guest> Client::AwaitGuest(absl::string_view name, absl::Duration timeout,
                                             absl::FunctionRef<bool(const v1::Guest&)> done) {
  return Await<v1::Guest>(
      *this, name, timeout, done,
      +[](const v1::WatchResponse& c) { return c.has_guest() ? &c.guest() : nullptr; });
}

}  // namespace librettos
