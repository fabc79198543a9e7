#include "daemon/channels.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/connections.h"

namespace librettos::daemon {

std::vector<v1::Channel> ChannelsOf(hypervisor::Hypervisor& hypervisor, Model& model,
                                    const std::string& guest) {
  std::vector<v1::Channel> channels;
  const GuestRecord* record = model.FindGuest(guest);
  if (record == nullptr || record->domain() == 0) return channels;
  const std::string& server_name = record->resource().spec().server();
  const ServerRecord* server = model.FindServer(server_name);
  if (server == nullptr) return channels;
  for (uint32_t domain : Connections::DomainsOf(*server)) {
    v1::Channel channel;
    channel.set_name(absl::StrCat(guest, "/channels/", domain));
    channel.set_server(server_name);
    channel.set_role(server->active().id() == domain ? v1::Channel::ROLE_ACTIVE : v1::Channel::ROLE_STANDBY);
    std::string backend = absl::StrCat(DomainPath(domain), "/backend/vif/", record->domain(), "/0");
    std::string state = hypervisor.Read(absl::StrCat(backend, "/state")).value_or("");
    channel.set_state(state == "4"   ? v1::Channel::CONNECTED
                      : state == "6" ? v1::Channel::CLOSED
                                     : v1::Channel::CONNECTING);
    channel.set_error(hypervisor.Read(absl::StrCat(backend, "/error")).value_or(""));
    // "<grant-ref> <version> <queue pairs> <entries> <slot bytes>", written by the guest: shown only if it
    // parses.
    std::string ring =
        hypervisor
            .Read(absl::StrCat(DomainPath(record->domain()), "/device/vif/0/frontend/", domain, "/ring"))
            .value_or("");
    std::vector<std::string> words = absl::StrSplit(ring, ' ');
    uint32_t queue_pairs = 0, entries = 0, slot_bytes = 0;
    if (words.size() == 5 && absl::SimpleAtoi(words[2], &queue_pairs) &&
        absl::SimpleAtoi(words[3], &entries) && absl::SimpleAtoi(words[4], &slot_bytes)) {
      channel.set_queue_pairs(queue_pairs);
      channel.set_entries(entries);
      channel.set_slot_bytes(slot_bytes);
    }
    channels.push_back(std::move(channel));
  }
  return channels;
}

}  // namespace librettos::daemon
