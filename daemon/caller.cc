#include "daemon/caller.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/convert.h"
#include "daemon/errors.h"
#include "daemon/log.h"
#include "daemon/names.h"
#include "daemon/services.h"
#include "daemon/validation.h"

namespace librettos::daemon {
namespace {

// How often a waiting handler looks whether its client is still there.
constexpr absl::Duration kCancellationCheck = absl::Milliseconds(200);
constexpr absl::Duration kDeletionPatience = absl::Seconds(5);
constexpr absl::Duration kDefaultWait = absl::Seconds(60);

absl::Status TooManyWatchers() {
  return MakeError(v1::ErrorInfo::LIMIT_REACHED,
                   {.resource = {},
                    .field = {},
                    .value = absl::StrCat(kMaxSubscribers),
                    .what = absl::StrCat("more than ", kMaxSubscribers, " clients watch or wait"),
                    .next = "End one of them, and try again"});
}

absl::Status RoleTooLow(const Peer& peer, const RoleGroups& groups, absl::string_view method,
                        absl::string_view resource) {
  return MakeError(v1::ErrorInfo::ROLE_TOO_LOW,
                   {.resource = std::string(resource),
                    .field = {},
                    .value = absl::StrCat("uid ", peer.uid),
                    .what = absl::StrCat("user ", peer.uid, " may look, but ", method, " changes something"),
                    .next = absl::StrCat("Run it as root",
                                         groups.operators_name.empty() ? "" : " or as a member of group ",
                                         groups.operators_name)});
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  auto info = ErrorInfoOf(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      info.has_value() ? info->SerializeAsString() : "");
}

absl::Status Caller::OnLoop(const std::function<absl::Status(Api&)>& body) {
  absl::Status status;
  loop_.Run([&] { status = body(api_); });
  return status;
}

grpc::Status Caller::Read(const std::function<absl::Status(Api&)>& method) { return ToGrpc(OnLoop(method)); }

grpc::Status Caller::Mutate(grpc::ServerContext* context, const char* method, const std::string& request_id,
                            const std::string& resource, const std::function<absl::Status(Api&)>& body) {
  const absl::Duration start = EventLoop::Monotonic();
  const Peer peer = peers_.Find(context->peer());
  absl::Status status =
      peer.role == Role::kOperator ? OnLoop(body) : RoleTooLow(peer, peers_.groups(), method, resource);
  const auto info = ErrorInfoOf(status);
  Log(Level::kAudit, "call",
      {{"method", method},
       {"request_id", request_id.substr(0, 64)},
       {"resource", resource.substr(0, 100)},
       {"uid", absl::StrCat(peer.uid)},
       {"pid", absl::StrCat(peer.pid)},
       {"result", std::string(absl::StatusCodeToString(status.code()))},
       {"reason", info.has_value() ? v1::ErrorInfo::Reason_Name(info->reason()) : "none"},
       {"duration_us", absl::StrCat(absl::ToInt64Microseconds(EventLoop::Monotonic() - start))}});
  return ToGrpc(status);
}

grpc::Status Caller::MutateAndAwaitDeletion(grpc::ServerContext* context, const char* method,
                                            const std::string& request_id, const std::string& resource,
                                            const std::function<absl::Status(Api&)>& body) {
  auto subscription = hub_.Subscribe({resource});
  grpc::Status status = Mutate(context, method, request_id, resource, body);
  if (!status.ok() || subscription == nullptr) return status;
  const absl::Duration until = EventLoop::Monotonic() + kDeletionPatience;
  bool there = true;
  while (true) {
    loop_.Run([&] { there = api_.Exists(resource); });
    if (!there || context->IsCancelled() || subscription->closed() || EventLoop::Monotonic() >= until)
      return status;
    subscription->Take(std::min(kCancellationCheck, until - EventLoop::Monotonic()));
  }
}

grpc::Status Caller::Wait(grpc::ServerContext* context, const v1::WaitOperationRequest& request,
                          v1::Operation* response) {
  auto timeout = DurationIn(request.has_timeout(), request.timeout(), absl::ZeroDuration(), absl::Minutes(10),
                            kDefaultWait, "timeout");
  if (!timeout.ok()) return ToGrpc(timeout.status());
  v1::GetOperationRequest get;
  get.set_name(request.name());
  // Before it takes a place among the watchers, the request must make sense.
  grpc::Status status = Read([&](Api& api) { return api.GetOperation(get, response); });
  if (!status.ok() || response->state() != v1::Operation::RUNNING) return status;
  auto subscription = hub_.Subscribe({request.name()});
  if (subscription == nullptr) return ToGrpc(TooManyWatchers());
  const absl::Duration until = EventLoop::Monotonic() + *timeout;
  while (true) {
    response->Clear();
    status = Read([&](Api& api) { return api.GetOperation(get, response); });
    if (!status.ok() || response->state() != v1::Operation::RUNNING) return status;
    if (EventLoop::Monotonic() >= until || context->IsCancelled() || subscription->closed()) return status;
    subscription->Take(std::min(kCancellationCheck, until - EventLoop::Monotonic()));
  }
}

grpc::Status Caller::Watch(grpc::ServerContext* context, const v1::WatchRequest& request,
                           grpc::ServerWriter<v1::WatchResponse>* writer) {
  static constexpr absl::string_view kCollections[] = {"servers", "guests", "nics", "operations"};
  std::vector<std::string> prefixes;
  for (int i = 0; i < request.collections_size(); ++i) {
    const std::string& collection = request.collections(i);
    if (std::find(std::begin(kCollections), std::end(kCollections), collection) == std::end(kCollections)) {
      return ToGrpc(InvalidField(absl::StrCat("collections[", i, "]"), collection, "is not a collection",
                                 "Use servers, guests, nics or operations"));
    }
    prefixes.push_back(absl::StrCat(collection, "/"));
  }
  // First subscribed, then read: what changes in between is told again, not missed.
  auto subscription = hub_.Subscribe(prefixes);
  if (subscription == nullptr) return ToGrpc(TooManyWatchers());
  std::vector<std::string> names;
  loop_.Run([&] { names = api_.NamesIn(prefixes); });
  bool initial = true;
  while (true) {
    for (const std::string& name : names) {
      v1::WatchResponse response;
      loop_.Run([&] { response = api_.Describe(name); });
      if (initial && response.has_deleted()) continue;
      if (!writer->Write(response)) return grpc::Status::OK;
    }
    if (initial) {
      v1::WatchResponse synced;
      synced.set_synced(true);
      if (!writer->Write(synced)) return grpc::Status::OK;
      initial = false;
    }
    names = subscription->Take(kCancellationCheck);
    if (context->IsCancelled()) return grpc::Status::OK;
    if (names.empty() && subscription->closed()) {
      return ToGrpc(
          MakeError(v1::ErrorInfo::TEMPORARY, {.resource = {},
                                               .field = {},
                                               .value = {},
                                               .what = "librettosd ends, or the client read too slowly",
                                               .next = "Watch again"}));
    }
  }
}

}  // namespace librettos::daemon
