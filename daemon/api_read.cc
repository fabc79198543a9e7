// Operations, channels, statistics and what watchers see.
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/api.h"
#include "daemon/channels.h"
#include "daemon/counters.h"
#include "daemon/errors.h"
#include "daemon/names.h"
#include "daemon/paging.h"

namespace librettos::daemon {
namespace {

constexpr char kDaemon[] = "daemon";  // Statistics of the daemon itself.

// "operations/op9" before "operations/op10".
bool OlderOperation(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

absl::Status MalformedChannel(const std::string& name) {
  return MakeError(
      v1::ErrorInfo::MALFORMED_NAME,
      {.resource = {},
       .field = "name",
       .value = name,
       .what = absl::StrCat("name: \"", name.substr(0, 200),
                            "\" is not of the form guests/{guest}/channels/{domain id of the server}"),
       .next = "List the channels to see their names"});
}

}  // namespace

absl::Status Api::GetOperation(const v1::GetOperationRequest& request, v1::Operation* response) {
  if (auto id = ParseName("operations", request.name()); !id.ok()) return id.status();
  const v1::Operation* operation = c_.operations.Find(request.name());
  if (operation == nullptr) return NoSuchResource(request.name());
  *response = *operation;
  return absl::OkStatus();
}

absl::Status Api::ListOperations(const v1::ListOperationsRequest& request,
                                 v1::ListOperationsResponse* response) {
  auto page = TakePage("operations/", NamesIn({"operations/"}), request.page_size(), request.page_token(),
                       OlderOperation);
  if (!page.ok()) return page.status();
  for (const std::string& name : page->names) *response->add_operations() = *c_.operations.Find(name);
  response->set_next_page_token(page->next_token);
  return absl::OkStatus();
}

absl::Status Api::GetChannel(const v1::GetChannelRequest& request, v1::Channel* response) {
  const std::string& name = request.name();
  if (name.empty()) return MissingField("name", "List the channels to see their names");
  auto at = name.find("/channels/");
  uint32_t domain = 0;
  if (at == std::string::npos || !ParseName("guests", name.substr(0, at)).ok() ||
      !absl::SimpleAtoi(name.substr(at + sizeof("/channels/") - 1), &domain)) {
    return MalformedChannel(name);
  }
  for (const v1::Channel& channel : ChannelsOf(c_.hypervisor, model_, name.substr(0, at))) {
    if (channel.name() != name) continue;
    *response = channel;
    return absl::OkStatus();
  }
  return NoSuchResource(name);
}

absl::Status Api::ListChannels(const v1::ListChannelsRequest& request, v1::ListChannelsResponse* response) {
  std::vector<std::string> guests;
  if (request.parent().empty()) {
    guests = NamesIn({"guests/"});
  } else {
    if (auto id = ParseName("guests", request.parent(), "parent"); !id.ok()) return id.status();
    if (model_.FindGuest(request.parent()) == nullptr) return NoSuchResource(request.parent());
    guests.push_back(request.parent());
  }
  std::map<std::string, v1::Channel> channels;
  std::vector<std::string> names;
  for (const std::string& guest : guests) {
    for (v1::Channel& channel : ChannelsOf(c_.hypervisor, model_, guest))
      channels[channel.name()] = std::move(channel);
  }
  for (const auto& [name, channel] : channels) names.push_back(name);
  auto page = TakePage("guests/", names, request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  for (const std::string& name : page->names) *response->add_channels() = channels[name];
  response->set_next_page_token(page->next_token);
  return absl::OkStatus();
}

absl::Status Api::GetStatistics(const v1::GetStatisticsRequest& request,
                                v1::GetStatisticsResponse* response) {
  const std::string& name = request.name();
  if (name == kDaemon) {
    v1::ResourceStatistics& daemon = *response->add_resources();
    daemon.set_name(name);
    for (const auto& [what, count] : c_.hypervisor.Census()) (*daemon.mutable_counters())[what] = count;
    return absl::OkStatus();
  }
  if (!name.empty()) {
    bool server = absl::StartsWith(name, "servers/");
    if (auto id = ParseName(server ? "servers" : "guests", name); !id.ok()) return id.status();
    if (!Exists(name)) return NoSuchResource(name);
  }
  auto guest_name = [this](uint64_t domain) -> std::string {
    auto it = domain > UINT32_MAX ? model_.owner_of_domain.end() : model_.owner_of_domain.find(domain);
    return it == model_.owner_of_domain.end() ? "" : it->second;
  };
  for (const auto& [domain, owner] : model_.owner_of_domain) {
    if (!name.empty() && owner != name) continue;
    auto page = c_.hypervisor.Statistics(domain);
    if (!page.ok()) continue;  // Not connected, or publishes none yet.
    if (const ServerRecord* server = model_.FindServer(owner); server != nullptr) {
      // A standby has counted nothing, and would stand beside the active one under the same name.
      if (server->active().id() != domain) continue;
      AddServerStatistics(owner, domain, *page, guest_name, response);
    } else {
      AddGuestStatistics(owner, domain, *page, response);
    }
  }
  return absl::OkStatus();
}

bool Api::Exists(const std::string& name) {
  return model_.FindServer(name) != nullptr || model_.FindGuest(name) != nullptr ||
         model_.FindNic(name) != nullptr || c_.operations.Find(name) != nullptr;
}

v1::WatchResponse Api::Describe(const std::string& name) {
  v1::WatchResponse response;
  if (!Exists(name)) {
    response.set_deleted(name);
  } else if (model_.FindServer(name) != nullptr) {
    *response.mutable_network_server() = c_.servers.View(name);
  } else if (model_.FindGuest(name) != nullptr) {
    *response.mutable_guest() = c_.guests.View(name);
  } else if (model_.FindNic(name) != nullptr) {
    *response.mutable_nic() = c_.nics.View(name);
  } else {
    *response.mutable_operation() = *c_.operations.Find(name);
  }
  return response;
}

std::vector<std::string> Api::NamesIn(const std::vector<std::string>& prefixes) {
  std::vector<std::string> names;
  auto wanted = [&](absl::string_view collection) {
    return prefixes.empty() || std::find(prefixes.begin(), prefixes.end(), collection) != prefixes.end();
  };
  if (wanted("guests/")) {
    for (const auto& [name, record] : model_.guests) names.push_back(name);
  }
  if (wanted("nics/")) {
    for (const auto& [name, record] : model_.nics) names.push_back(name);
  }
  if (wanted("operations/")) {
    for (const auto& [number, operation] : model_.operations) names.push_back(operation.name());
  }
  if (wanted("servers/")) {
    for (const auto& [name, record] : model_.servers) names.push_back(name);
  }
  return names;
}

}  // namespace librettos::daemon
