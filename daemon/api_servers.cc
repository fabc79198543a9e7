#include <sys/random.h>

#include "absl/strings/str_cat.h"
#include "daemon/api.h"
#include "daemon/convert.h"
#include "daemon/errors.h"
#include "daemon/idempotency.h"
#include "daemon/names.h"
#include "daemon/paging.h"
#include "daemon/preconditions.h"
#include "daemon/validation.h"

namespace librettos::daemon {
namespace {

constexpr size_t kLeaseKeyBytes = 16;

}  // namespace

absl::Status Api::CommitAnswer(const std::string& request_id, absl::string_view method,
                               const google::protobuf::Message& request,
                               const google::protobuf::Message& response) {
  RememberAnswer(model_, request_id, method, request, response);
  absl::Status status = model_.Commit();
  if (status.ok()) return status;
  ForgetAnswer(model_, request_id);
  return MakeError(v1::ErrorInfo::HOST_ERROR,
                   {.resource = {},
                    .field = {},
                    .value = {},
                    .what = absl::StrCat("nothing was changed: ", status.message()),
                    .next = "Make room on, or repair, the file system of the state directory"});
}

absl::Status Api::CreateNetworkServer(const v1::CreateNetworkServerRequest& request,
                                      v1::NetworkServer* response) {
  auto answered = FindAnswer(model_, request.request_id(), "CreateNetworkServer", request, response);
  if (!answered.ok() || *answered) return answered.status();
  const std::string& name = request.network_server().name();
  if (auto id = ParseName("servers", name, "network_server.name"); !id.ok()) return id.status();
  if (model_.FindServer(name) != nullptr) return NameTaken(name);
  if (model_.servers.size() >= kMaxServers) return LimitReached("network servers", kMaxServers);
  v1::NetworkServerSpec spec = request.network_server().spec();
  if (auto s = ValidateServer(model_, c_.hypervisor.kind(), &spec); !s.ok()) return s;
  if (std::string owner = c_.nics.OwnerOf(spec.nic()); !owner.empty()) {
    return NicTaken(spec.nic(), owner, "network_server.spec.nic");
  }
  if (std::string owner = c_.nics.OwnerOf(spec.standby_nic()); !owner.empty()) {
    return NicTaken(spec.standby_nic(), owner, "network_server.spec.standby_nic");
  }
  ServerRecord record;
  record.mutable_resource()->set_name(name);
  *record.mutable_resource()->mutable_spec() = spec;
  record.mutable_resource()->set_etag(model_.NextEtag());
  *record.mutable_resource()->mutable_create_time() = ToProto(c_.scheduler.Wall());
  record.set_next_serial(1);
  std::string key(kLeaseKeyBytes, '\0');
  if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
    return absl::InternalError("no entropy");
  record.set_lease_key(key);
  model_.servers[name] = record;
  *response = c_.servers.View(name);
  if (auto s = CommitAnswer(request.request_id(), "CreateNetworkServer", request, *response); !s.ok()) {
    model_.servers.erase(name);
    return s;
  }
  model_.Changed(spec.nic());
  if (!spec.standby_nic().empty()) model_.Changed(spec.standby_nic());
  model_.Changed(name);
  c_.servers.Reconcile(name);
  return absl::OkStatus();
}

absl::Status Api::GetNetworkServer(const v1::GetNetworkServerRequest& request, v1::NetworkServer* response) {
  if (auto id = ParseName("servers", request.name()); !id.ok()) return id.status();
  if (model_.FindServer(request.name()) == nullptr) return NoSuchResource(request.name());
  *response = c_.servers.View(request.name());
  return absl::OkStatus();
}

absl::Status Api::ListNetworkServers(const v1::ListNetworkServersRequest& request,
                                     v1::ListNetworkServersResponse* response) {
  auto page = TakePage("servers/", NamesIn({"servers/"}), request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  for (const std::string& name : page->names) *response->add_network_servers() = c_.servers.View(name);
  response->set_next_page_token(page->next_token);
  return absl::OkStatus();
}

absl::Status Api::DeleteNetworkServer(const v1::DeleteNetworkServerRequest& request,
                                      v1::DeleteNetworkServerResponse* response) {
  auto answered = FindAnswer(model_, request.request_id(), "DeleteNetworkServer", request, response);
  if (!answered.ok() || *answered) return answered.status();
  std::string name = request.name();
  if (auto id = ParseName("servers", name); !id.ok()) return id.status();
  ServerRecord* record = model_.FindServer(name);
  if (record == nullptr) return NoSuchResource(name);
  if (auto s = CheckEtag(request.etag(), record->resource().etag(), name); !s.ok()) return s;
  for (const auto& [guest, g] : model_.guests) {
    if (g.resource().spec().server() == name) return InUse(name, guest);
  }
  if (!record->upgrade().operation().empty()) return UnderWay(name, record->upgrade().operation());
  bool before = record->deleting();
  record->set_deleting(true);
  if (auto s = CommitAnswer(request.request_id(), "DeleteNetworkServer", request, *response); !s.ok()) {
    record->set_deleting(before);
    return s;
  }
  c_.servers.Delete(name);
  return absl::OkStatus();
}

absl::Status Api::UpgradeNetworkServer(const v1::UpgradeNetworkServerRequest& request,
                                       v1::Operation* response) {
  auto answered = FindAnswer(model_, request.request_id(), "UpgradeNetworkServer", request, response);
  if (!answered.ok() || *answered) return answered.status();
  const std::string& name = request.name();
  if (auto id = ParseName("servers", name); !id.ok()) return id.status();
  ServerRecord* record = model_.FindServer(name);
  if (record == nullptr) return NoSuchResource(name);
  if (auto s = CheckEtag(request.etag(), record->resource().etag(), name); !s.ok()) return s;
  if (!request.image().empty()) {
    if (auto s = ValidateImage(request.image(), "image"); !s.ok()) return s;
  }
  auto timeout = DurationIn(request.has_health_timeout(), request.health_timeout(), absl::Milliseconds(100),
                            absl::Minutes(10), absl::Seconds(5), "health_timeout");
  if (!timeout.ok()) return timeout.status();
  if (record->deleting()) return WrongState(name, "is being deleted", "Create it anew");
  if (!record->upgrade().operation().empty()) return UnderWay(name, record->upgrade().operation());
  if (!c_.servers.forwards(name)) {
    return WrongState(name, "does not forward now, so there is nothing to hand over",
                      "Wait until its state is ACTIVE");
  }
  std::string operation = c_.operations.Begin(v1::Operation::UPGRADE_NETWORK_SERVER, name,
                                              "waiting for the new server to get ready");
  Upgrade& upgrade = *record->mutable_upgrade();
  upgrade.set_operation(operation);
  upgrade.set_image(request.image().empty() ? record->resource().spec().image() : request.image());
  upgrade.set_health_timeout_ms(absl::ToInt64Milliseconds(*timeout));
  upgrade.set_step(Upgrade::WAITING_READY);
  *response = *c_.operations.Find(operation);
  if (auto s = CommitAnswer(request.request_id(), "UpgradeNetworkServer", request, *response); !s.ok()) {
    record->clear_upgrade();
    c_.operations.Discard(operation);
    return s;
  }
  c_.servers.StartUpgrade(name);
  *response = *c_.operations.Find(operation);
  return absl::OkStatus();
}

absl::Status Api::FailNetworkServer(const v1::FailNetworkServerRequest& request,
                                    v1::NetworkServer* response) {
  auto answered = FindAnswer(model_, request.request_id(), "FailNetworkServer", request, response);
  if (!answered.ok() || *answered) return answered.status();
  if (auto id = ParseName("servers", request.name()); !id.ok()) return id.status();
  ServerRecord* record = model_.FindServer(request.name());
  if (record == nullptr) return NoSuchResource(request.name());
  if (record->active().id() == 0 || record->deleting()) {
    return WrongState(request.name(), "has no active domain that could fail",
                      "Wait until its state is ACTIVE");
  }
  *response = c_.servers.View(request.name());
  if (auto s = CommitAnswer(request.request_id(), "FailNetworkServer", request, *response); !s.ok()) return s;
  c_.servers.FailActive(request.name());
  return absl::OkStatus();
}

}  // namespace librettos::daemon
