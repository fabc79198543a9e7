#include "absl/strings/str_cat.h"
#include "daemon/api.h"
#include "daemon/convert.h"
#include "daemon/errors.h"
#include "daemon/idempotency.h"
#include "daemon/log.h"
#include "daemon/names.h"
#include "daemon/paging.h"
#include "daemon/preconditions.h"
#include "daemon/validation.h"

namespace librettos::daemon {

absl::Status Api::CreateNic(const v1::CreateNicRequest& request, v1::Nic* response) {
  auto answered = FindAnswer(model_, request.request_id(), "CreateNic", request, response);
  if (!answered.ok() || *answered) return answered.status();
  const std::string& name = request.nic().name();
  if (auto id = ParseName("nics", name, "nic.name"); !id.ok()) return id.status();
  if (model_.FindNic(name) != nullptr) return NameTaken(name);
  if (model_.nics.size() >= kMaxNics) return LimitReached("NICs", kMaxNics);
  NicRecord record;
  record.mutable_resource()->set_name(name);
  *record.mutable_resource()->mutable_spec() = request.nic().spec();
  if (auto s = ValidateNic(model_, c_.hypervisor.kind(), record.mutable_resource()->mutable_spec()); !s.ok())
    return s;
  record.mutable_resource()->set_etag(model_.NextEtag());
  *record.mutable_resource()->mutable_create_time() = ToProto(c_.scheduler.Wall());
  model_.nics[name] = record;
  // Opened before it is stored: a NIC that never worked is the caller's mistake, not something to keep
  // trying.
  if (absl::Status opened = c_.nics.Open(name); !opened.ok()) {
    (void)c_.nics.Close(name);
    model_.nics.erase(name);
    return NicUnavailable(name, absl::StrCat("the device of ", name, " cannot be opened: ", opened.message()),
                          record.resource().spec().has_pci()
                              ? "Check the function with lspci -D, and that xen-pciback is loaded"
                              : "Check the interface, the bridge and the network namespace");
  }
  *response = c_.nics.View(name);
  if (auto s = CommitAnswer(request.request_id(), "CreateNic", request, *response); !s.ok()) {
    (void)c_.nics.Close(name);
    model_.nics.erase(name);
    return s;
  }
  model_.Changed(name);
  return absl::OkStatus();
}

absl::Status Api::GetNic(const v1::GetNicRequest& request, v1::Nic* response) {
  if (auto id = ParseName("nics", request.name()); !id.ok()) return id.status();
  if (model_.FindNic(request.name()) == nullptr) return NoSuchResource(request.name());
  *response = c_.nics.View(request.name());
  return absl::OkStatus();
}

absl::Status Api::ListNics(const v1::ListNicsRequest& request, v1::ListNicsResponse* response) {
  auto page = TakePage("nics/", NamesIn({"nics/"}), request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  for (const std::string& name : page->names) *response->add_nics() = c_.nics.View(name);
  response->set_next_page_token(page->next_token);
  return absl::OkStatus();
}

absl::Status Api::DeleteNic(const v1::DeleteNicRequest& request, v1::DeleteNicResponse* response) {
  auto answered = FindAnswer(model_, request.request_id(), "DeleteNic", request, response);
  if (!answered.ok() || *answered) return answered.status();
  std::string name = request.name();
  if (auto id = ParseName("nics", name); !id.ok()) return id.status();
  NicRecord* record = model_.FindNic(name);
  if (record == nullptr) return NoSuchResource(name);
  if (auto s = CheckEtag(request.etag(), record->resource().etag(), name); !s.ok()) return s;
  if (std::string owner = c_.nics.OwnerOf(name); !owner.empty()) return InUse(name, owner);
  NicRecord before = *record;
  model_.nics.erase(name);
  if (auto s = CommitAnswer(request.request_id(), "DeleteNic", request, *response); !s.ok()) {
    model_.nics[name] = before;
    return s;
  }
  if (absl::Status closed = c_.nics.Close(name); !closed.ok()) {
    // It is no longer ours either way; the next open of the same device will tell.
    Log(Level::kWarning, "NIC could not be closed",
        {{"nic", name}, {"error", std::string(closed.message())}});
  }
  model_.Changed(name);
  return absl::OkStatus();
}

}  // namespace librettos::daemon
