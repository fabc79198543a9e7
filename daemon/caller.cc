#include "daemon/caller.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/convert.h"
#include "daemon/errors.h"
#include "daemon/log.h"
#include "daemon/names.h"
#include "daemon/services.h"
#include "daemon/validation.h"
#include "daemon/waiter.h"
#include "daemon/watcher.h"

namespace librettos::daemon {
namespace {

constexpr absl::Duration kDeletionPatience = absl::Seconds(5);
constexpr absl::Duration kDefaultWait = absl::Seconds(60);

absl::Status TooManyWatchers() {
  return MakeError(
      v1::ErrorInfo::LIMIT_REACHED,
      {.resource = {},
       .field = {},
       .value = absl::StrCat(kMaxSubscribers),
       .what = absl::StrCat("more than ", kMaxSubscribers, " clients watch or wait, or more than ",
                            kMaxSubscribersPerViewer, " of a user who may only look"),
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

std::optional<uid_t> Caller::ViewerOf(grpc::CallbackServerContext* context) const {
  const Peer peer = peers_.Find(context->peer());
  return peer.role == Role::kOperator ? std::nullopt : std::optional<uid_t>(peer.uid);
}

Caller::UnaryReactor* Caller::Read(grpc::CallbackServerContext* context,
                                   std::function<absl::Status(Api&)> method) {
  UnaryReactor* reactor = context->DefaultReactor();
  turns_.Add([this, reactor, method = std::move(method)] { reactor->Finish(ToGrpc(method(api_))); });
  return reactor;
}

Caller::Change Caller::ChangeOf(grpc::CallbackServerContext* context, const char* method,
                                const std::string& request_id, const std::string& resource,
                                std::function<absl::Status(Api&)> body) {
  return {peers_.Find(context->peer()),
          EventLoop::Monotonic(),
          method,
          request_id.substr(0, 64),
          resource,
          std::move(body)};
}

absl::Status Caller::Apply(const Change& change) {
  absl::Status status = change.peer.role == Role::kOperator
                            ? change.body(api_)
                            : RoleTooLow(change.peer, peers_.groups(), change.method, change.resource);
  const auto info = ErrorInfoOf(status);
  Log(Level::kAudit, "call",
      {{"method", change.method},
       {"request_id", change.request_id},
       {"resource", change.resource.substr(0, 100)},
       {"uid", absl::StrCat(change.peer.uid)},
       {"pid", absl::StrCat(change.peer.pid)},
       {"result", std::string(absl::StatusCodeToString(status.code()))},
       {"reason", info.has_value() ? v1::ErrorInfo::Reason_Name(info->reason()) : "none"},
       {"duration_us", absl::StrCat(absl::ToInt64Microseconds(EventLoop::Monotonic() - change.start))}});
  return status;
}

Caller::UnaryReactor* Caller::Mutate(grpc::CallbackServerContext* context, const char* method,
                                     const std::string& request_id, const std::string& resource,
                                     std::function<absl::Status(Api&)> body) {
  UnaryReactor* reactor = context->DefaultReactor();
  turns_.Add([this, reactor, change = ChangeOf(context, method, request_id, resource, std::move(body))] {
    reactor->Finish(ToGrpc(Apply(change)));
  });
  return reactor;
}

Caller::UnaryReactor* Caller::MutateAndAwaitDeletion(grpc::CallbackServerContext* context, const char* method,
                                                     const std::string& request_id,
                                                     const std::string& resource,
                                                     std::function<absl::Status(Api&)> body) {
  auto* waiter = new Waiter(turns_, hub_);
  turns_.Add([this, waiter, change = ChangeOf(context, method, request_id, resource, std::move(body))] {
    const grpc::Status status = ToGrpc(Apply(change));
    waiter->Start({.resource = change.resource,
                   .viewer = {},
                   .look = [this, status, resource = change.resource]() -> std::optional<grpc::Status> {
                     if (!status.ok() || !api_.Exists(resource)) return status;
                     return std::nullopt;
                   },
                   .patience = kDeletionPatience,
                   .refused = grpc::Status::OK});
  });
  return waiter;
}

Caller::UnaryReactor* Caller::Wait(grpc::CallbackServerContext* context,
                                   const v1::WaitOperationRequest* request, v1::Operation* response) {
  auto* waiter = new Waiter(turns_, hub_);
  turns_.Add([this, waiter, request, response, viewer = ViewerOf(context)] {
    auto timeout = DurationIn(request->has_timeout(), request->timeout(), absl::ZeroDuration(),
                              absl::Minutes(10), kDefaultWait, "timeout");
    waiter->Start(
        {.resource = request->name(),
         .viewer = viewer,
         .look = [this, request, response, status = timeout.status()]() -> std::optional<grpc::Status> {
           if (!status.ok()) return ToGrpc(status);
           v1::GetOperationRequest get;
           get.set_name(request->name());
           response->Clear();
           const absl::Status got = api_.GetOperation(get, response);
           if (!got.ok() || response->state() != v1::Operation::RUNNING) return ToGrpc(got);
           return std::nullopt;
         },
         .patience = timeout.ok() ? *timeout : absl::ZeroDuration(),
         .refused = ToGrpc(TooManyWatchers())});
  });
  return waiter;
}

grpc::ServerWriteReactor<v1::WatchResponse>* Caller::Watch(grpc::CallbackServerContext* context,
                                                           const v1::WatchRequest* request) {
  auto* watcher = new Watcher(turns_, hub_, api_);
  turns_.Add([watcher, request, viewer = ViewerOf(context)] {
    static constexpr absl::string_view kCollections[] = {"servers", "guests", "nics", "operations"};
    std::vector<std::string> prefixes;
    for (int i = 0; i < request->collections_size(); ++i) {
      const std::string& collection = request->collections(i);
      if (std::find(std::begin(kCollections), std::end(kCollections), collection) == std::end(kCollections)) {
        return watcher->End(
            ToGrpc(InvalidField(absl::StrCat("collections[", i, "]"), collection, "is not a collection",
                                "Use servers, guests, nics or operations")));
      }
      prefixes.push_back(absl::StrCat(collection, "/"));
    }
    watcher->Start(std::move(prefixes), viewer, ToGrpc(TooManyWatchers()));
  });
  return watcher;
}

}  // namespace librettos::daemon
