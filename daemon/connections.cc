#include "daemon/connections.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace librettos::daemon {

std::string DomainPath(uint32_t domain) { return absl::StrCat("/local/domain/", domain); }

bool IsShared(const GuestRecord& guest) { return guest.resource().spec().addresses().empty(); }

std::vector<uint32_t> Connections::DomainsOf(const ServerRecord& server) {
  std::vector<uint32_t> domains;
  for (const DomainRecord* d :
       {&server.active(), &server.standby(), &server.successor(), &server.previous()}) {
    if (d->id() != 0) domains.push_back(d->id());
  }
  return domains;
}

const NicRecord* Connections::NicOf(const GuestRecord& guest) const {
  const ServerRecord* server = model_.FindServer(guest.resource().spec().server());
  return server == nullptr ? nullptr : model_.FindNic(server->resource().spec().nic());
}

std::string Connections::AddressesOf(const GuestRecord& guest) const {
  if (!IsShared(guest)) return absl::StrJoin(guest.resource().spec().addresses(), " ");
  const ServerRecord* server = model_.FindServer(guest.resource().spec().server());
  return server == nullptr ? "" : absl::StrJoin(server->resource().spec().shared_addresses(), " ");
}

std::string Connections::MacOf(const GuestRecord& guest) const {
  if (!IsShared(guest)) return guest.mac();
  const NicRecord* nic = NicOf(guest);
  return nic == nullptr ? "" : nic->mac();
}

uint32_t Connections::MtuOf(const GuestRecord& guest) const {
  const NicRecord* nic = NicOf(guest);
  return nic == nullptr || nic->mtu() == 0 ? 1500 : nic->mtu();
}

void Connections::WriteRole(uint32_t domain, const std::string& role) {
  hypervisor_.Write(absl::StrCat(DomainPath(domain), "/control/role"), role);
}

void Connections::WriteServerKeys(const ServerRecord& server, uint32_t domain, const std::string& role) {
  std::string base = DomainPath(domain);
  for (const char* key : {"/name", "/control"}) hypervisor_.Reserve(absl::StrCat(base, key));
  hypervisor_.Write(absl::StrCat(base, "/name"), server.resource().name());
  hypervisor_.Write(absl::StrCat(base, "/control/shared"),
                    absl::StrJoin(server.resource().spec().shared_addresses(), " "));
  hypervisor_.Write(absl::StrCat(base, "/control/lease-key"), absl::BytesToHexString(server.lease_key()));
  if (!server.resource().spec().standby_nic().empty()) {
    hypervisor_.Write(absl::StrCat(base, "/control/announce"), "1");
  }
  WriteRole(domain, role);
  for (const auto& [name, guest] : model_.guests) {
    if (guest.domain() != 0 && guest.resource().spec().server() == server.resource().name())
      Connect(guest, domain);
  }
}

void Connections::WriteGuestKeys(const GuestRecord& guest) {
  std::string base = DomainPath(guest.domain());
  std::string vif = absl::StrCat(base, "/device/vif/0");
  const v1::GuestSpec& spec = guest.resource().spec();
  for (const char* key : {"/name", "/control"}) hypervisor_.Reserve(absl::StrCat(base, key));
  for (const char* key :
       {"/mac", "/addresses", "/gateway4", "/gateway6", "/mtu", "/shared", "/queue-pairs", "/backend"}) {
    hypervisor_.Reserve(absl::StrCat(vif, key));
  }
  hypervisor_.Write(absl::StrCat(base, "/name"), guest.resource().name());
  hypervisor_.Write(absl::StrCat(vif, "/mac"), MacOf(guest));
  hypervisor_.Write(absl::StrCat(vif, "/addresses"), AddressesOf(guest));
  if (!spec.ipv4_gateway().empty()) hypervisor_.Write(absl::StrCat(vif, "/gateway4"), spec.ipv4_gateway());
  if (!spec.ipv6_gateway().empty()) hypervisor_.Write(absl::StrCat(vif, "/gateway6"), spec.ipv6_gateway());
  hypervisor_.Write(absl::StrCat(vif, "/mtu"), absl::StrCat(MtuOf(guest)));
  hypervisor_.Write(absl::StrCat(vif, "/shared"), IsShared(guest) ? "1" : "0");
  hypervisor_.Write(absl::StrCat(vif, "/queue-pairs"), absl::StrCat(spec.queue_pairs()));
  if (!guest.control_mode().empty())
    hypervisor_.Write(absl::StrCat(base, "/control/mode"), guest.control_mode());
  if (const ServerRecord* server = model_.FindServer(spec.server()); server != nullptr) {
    for (uint32_t domain : DomainsOf(*server)) Connect(guest, domain);
  }
}

void Connections::Connect(const GuestRecord& guest, uint32_t server_domain) {
  std::string backend = absl::StrCat(DomainPath(server_domain), "/backend/vif/", guest.domain(), "/0");
  std::string vif = absl::StrCat(DomainPath(guest.domain()), "/device/vif/0");
  // Permissions first: a key that stands is one that can be read.
  hypervisor_.Reserve(absl::StrCat(backend, "/guest"));
  hypervisor_.AllowRead(absl::StrCat(backend, "/state"), guest.domain());
  hypervisor_.AllowRead(absl::StrCat(backend, "/error"), guest.domain());
  hypervisor_.AllowRead(absl::StrCat(vif, "/frontend/", server_domain), server_domain);
  hypervisor_.Write(
      absl::StrCat(backend, "/guest"),
      absl::StrCat(MacOf(guest), IsShared(guest) ? " shared " : " dedicated ", AddressesOf(guest)));
  hypervisor_.Write(absl::StrCat(vif, "/backend/", server_domain), "1");
}

void Connections::ForgetServer(const ServerRecord& server, uint32_t domain) {
  for (const auto& [name, guest] : model_.guests) {
    if (guest.domain() == 0 || guest.resource().spec().server() != server.resource().name()) continue;
    hypervisor_.Remove(absl::StrCat(DomainPath(guest.domain()), "/device/vif/0/backend/", domain));
  }
  hypervisor_.Remove(DomainPath(domain));
}

void Connections::ForgetGuest(const GuestRecord& guest, uint32_t domain) {
  if (const ServerRecord* server = model_.FindServer(guest.resource().spec().server()); server != nullptr) {
    for (uint32_t s : DomainsOf(*server)) {
      hypervisor_.Remove(absl::StrCat(DomainPath(s), "/backend/vif/", domain));
    }
  }
  hypervisor_.Remove(DomainPath(domain));
}

}  // namespace librettos::daemon
