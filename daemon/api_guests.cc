#include <algorithm>

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

absl::Status Api::CreateGuest(const v1::CreateGuestRequest& request, v1::Guest* response) {
  auto answered = FindAnswer(model_, request.request_id(), "CreateGuest", request, response);
  if (!answered.ok() || *answered) return answered.status();
  const std::string& name = request.guest().name();
  if (auto id = ParseName("guests", name, "guest.name"); !id.ok()) return id.status();
  if (model_.FindGuest(name) != nullptr) return NameTaken(name);
  if (model_.guests.size() >= kMaxGuests) return LimitReached("guests", kMaxGuests);
  GuestRecord record;
  v1::GuestSpec spec = request.guest().spec();
  if (auto s = ValidateGuest(model_, c_.hypervisor.kind(), name, &spec, record.mutable_mac()); !s.ok())
    return s;
  size_t beside = std::count_if(model_.guests.begin(), model_.guests.end(), [&](const auto& g) {
    return g.second.resource().spec().server() == spec.server();
  });
  if (beside >= kMaxGuestsPerServer) {
    return LimitReached(absl::StrCat("guests on ", spec.server()), kMaxGuestsPerServer);
  }
  record.mutable_resource()->set_name(name);
  *record.mutable_resource()->mutable_spec() = spec;
  record.mutable_resource()->set_etag(model_.NextEtag());
  *record.mutable_resource()->mutable_create_time() = ToProto(c_.scheduler.Wall());
  record.set_mode(v1::SERVER);
  model_.guests[name] = record;
  *response = c_.guests.View(name);
  if (auto s = CommitAnswer(request.request_id(), "CreateGuest", request, *response); !s.ok()) {
    model_.guests.erase(name);
    return s;
  }
  model_.Changed(name);
  c_.guests.Reconcile(name);
  return absl::OkStatus();
}

absl::Status Api::GetGuest(const v1::GetGuestRequest& request, v1::Guest* response) {
  if (auto id = ParseName("guests", request.name()); !id.ok()) return id.status();
  if (model_.FindGuest(request.name()) == nullptr) return NoSuchResource(request.name());
  *response = c_.guests.View(request.name());
  return absl::OkStatus();
}

absl::Status Api::ListGuests(const v1::ListGuestsRequest& request, v1::ListGuestsResponse* response) {
  auto page = TakePage("guests/", NamesIn({"guests/"}), request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  for (const std::string& name : page->names) *response->add_guests() = c_.guests.View(name);
  response->set_next_page_token(page->next_token);
  return absl::OkStatus();
}

absl::Status Api::DeleteGuest(const v1::DeleteGuestRequest& request, v1::DeleteGuestResponse* response) {
  auto answered = FindAnswer(model_, request.request_id(), "DeleteGuest", request, response);
  if (!answered.ok() || *answered) return answered.status();
  std::string name = request.name();
  if (auto id = ParseName("guests", name); !id.ok()) return id.status();
  GuestRecord* record = model_.FindGuest(name);
  if (record == nullptr) return NoSuchResource(name);
  if (auto s = CheckEtag(request.etag(), record->resource().etag(), name); !s.ok()) return s;
  bool before = record->deleting();
  record->set_deleting(true);
  if (auto s = CommitAnswer(request.request_id(), "DeleteGuest", request, *response); !s.ok()) {
    record->set_deleting(before);
    return s;
  }
  c_.guests.Delete(name);
  return absl::OkStatus();
}

absl::Status Api::SetGuestMode(const v1::SetGuestModeRequest& request, v1::Operation* response) {
  constexpr char kMethod[] = "SetGuestMode";
  auto answered = FindAnswer(model_, request.request_id(), kMethod, request, response);
  if (!answered.ok() || *answered) return answered.status();
  const std::string& name = request.name();
  if (auto id = ParseName("guests", name); !id.ok()) return id.status();
  GuestRecord* record = model_.FindGuest(name);
  if (record == nullptr) return NoSuchResource(name);
  if (auto s = CheckEtag(request.etag(), record->resource().etag(), name); !s.ok()) return s;
  if (request.mode() == v1::MODE_UNSPECIFIED)
    return MissingField("mode", "Name the target, SERVER or DIRECT");
  if (request.mode() != v1::SERVER && request.mode() != v1::DIRECT) {
    return InvalidField("mode", absl::StrCat(request.mode()), "is not a known mode", "Use SERVER or DIRECT");
  }
  bool direct = request.mode() == v1::DIRECT;
  if (!request.nic().empty()) {
    if (!direct) return InvalidField("nic", request.nic(), "cannot be given with SERVER", "Leave it out");
    if (auto id = ParseName("nics", request.nic(), "nic"); !id.ok()) return id.status();
    if (model_.FindNic(request.nic()) == nullptr) return NoSuchResource(request.nic());
  }
  auto deadline = DurationIn(request.has_deadline(), request.deadline(), absl::Milliseconds(10),
                             absl::Minutes(10), absl::Seconds(5), "deadline");
  if (!deadline.ok()) return deadline.status();
  if (direct && IsShared(*record)) {
    return MakeError(v1::ErrorInfo::SHARED_ADDRESS,
                     {.resource = name,
                      .field = "mode",
                      .value = "DIRECT",
                      .what = absl::StrCat(name, " shares its server's addresses, and so cannot go direct"),
                      .next = "Create the guest with addresses of its own"});
  }
  if (record->deleting()) return WrongState(name, "is being deleted", "Create it anew");
  if (record->domain() == 0) return WrongState(name, "does not run", "Wait until its state is RUNNING");
  if (!record->change().operation().empty()) {
    const v1::Operation* running = c_.operations.Find(record->change().operation());
    bool same_nic = request.nic().empty() || request.nic() == record->nic();
    if (running == nullptr || record->change().target() != request.mode() || !same_nic) {
      return UnderWay(name, record->change().operation());
    }
    *response = *running;
    return CommitAnswer(request.request_id(), kMethod, request, *response);
  }
  if (record->mode() == request.mode()) {
    if (direct && !request.nic().empty() && request.nic() != record->nic()) {
      return WrongState(name, absl::StrCat("is direct by ", record->nic()), "Change it to SERVER first");
    }
    std::string operation = c_.operations.Begin(v1::Operation::SET_GUEST_MODE, name, "");
    c_.operations.Succeed(operation, "it was in that mode already", std::nullopt);
    *response = *c_.operations.Find(operation);
    if (auto s = CommitAnswer(request.request_id(), kMethod, request, *response); !s.ok()) {
      c_.operations.Discard(operation);
      return s;
    }
    return absl::OkStatus();
  }
  std::string nic = record->nic();
  if (direct) {
    if (!nic.empty())
      return WrongState(name, absl::StrCat("still holds ", nic), "Wait until it has returned it");
    nic = request.nic().empty() ? c_.nics.FirstFree() : request.nic();
    if (nic.empty()) return NicUnavailable("", "no NIC is free", "Create one, or free one");
    if (std::string owner = c_.nics.OwnerOf(nic); !owner.empty()) return NicTaken(nic, owner, "nic");
    if (!c_.nics.is_open(nic)) {
      return NicUnavailable(nic, absl::StrCat(nic, " cannot be opened now"),
                            "See its status, or use another NIC");
    }
  }
  GuestRecord before = *record;
  std::string operation = c_.operations.Begin(v1::Operation::SET_GUEST_MODE, name, "asked the guest");
  record->set_nic(nic);
  record->mutable_change()->set_operation(operation);
  record->mutable_change()->set_number(model_.NextChange());
  record->mutable_change()->set_target(request.mode());
  record->mutable_change()->set_deadline_ms(absl::ToInt64Milliseconds(*deadline));
  record->set_control_mode(GuestReconciler::ControlMode(*record, request.mode(), record->change().number(),
                                                        record->change().deadline_ms()));
  *response = *c_.operations.Find(operation);
  if (auto s = CommitAnswer(request.request_id(), kMethod, request, *response); !s.ok()) {
    *record = before;
    c_.operations.Discard(operation);
    return s;
  }
  model_.Changed(nic);
  c_.guests.StartModeChange(name);
  return absl::OkStatus();
}

}  // namespace librettos::daemon
