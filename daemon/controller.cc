#include "daemon/controller.h"

#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/log.h"
#include "daemon/names.h"

namespace librettos::daemon {
namespace {

constexpr char kDomains[] = "/local/domain";

bool IsServer(absl::string_view name) { return absl::StartsWith(name, "servers/"); }

template <class Map>
std::vector<std::string> Names(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, record] : map) names.push_back(name);
  return names;
}

}  // namespace

Controller::Controller(Scheduler& scheduler, hypervisor::Hypervisor& hypervisor, Store& store, WatchHub& hub)
    : scheduler(scheduler),
      hypervisor(hypervisor),
      hub(hub),
      model(scheduler, store, hub),
      operations(scheduler, model),
      connections(hypervisor, model),
      nics(scheduler, hypervisor, model),
      servers(scheduler, hypervisor, model, operations, connections, nics),
      guests(scheduler, hypervisor, model, operations, connections, nics) {
  nics.OnLearned([this](const std::string&) { guests.OnNicLearned(); });
}

Controller::~Controller() { hypervisor.SetObserver(nullptr); }

absl::Status Controller::Recover() {
  if (absl::Status status = model.Load(); !status.ok()) return status;
  hypervisor.SetNextId(model.next_domain());
  hypervisor.SetObserver(this);
  std::map<uint32_t, std::string> wanted;
  for (const auto& [name, record] : model.servers) {
    for (uint32_t domain : Connections::DomainsOf(record)) wanted[domain] = name;
  }
  for (const auto& [name, record] : model.guests) {
    if (record.domain() != 0) wanted[record.domain()] = name;
  }
  std::vector<std::string> adopted_guests;
  for (const auto& [domain, name] : hypervisor.Adopted()) {
    auto it = wanted.find(domain);
    // A server's domain is named "servers/{id}#{serial}", a guest's as the guest.
    if (it == wanted.end() || std::string(name.substr(0, name.find('#'))) != it->second) {
      Log(Level::kWarning, "unknown domain is destroyed", {{"domain", absl::StrCat(domain)}, {"name", name}});
      if (absl::Status status = hypervisor.Destroy(domain); !status.ok()) {
        Log(Level::kError, "domain cannot be destroyed", {{"error", std::string(status.message())}});
      }
      continue;
    }
    if (IsServer(it->second)) {
      servers.Adopt(it->second, domain);
    } else {
      adopted_guests.push_back(it->second);
    }
    Log(Level::kInfo, "domain is taken over", {{"domain", absl::StrCat(domain)}, {"name", it->second}});
  }
  for (const std::string& guest : adopted_guests) guests.Adopt(guest);
  hypervisor.Watch(kDomains, [this](const std::string& path) { OnRegistry(path); });
  nics.OpenAll();
  for (const std::string& name : Names(model.servers)) servers.Resume(name);
  for (const std::string& name : Names(model.guests)) guests.Resume(name);
  return absl::OkStatus();
}

void Controller::DestroyAll() {
  stopping_ = true;
  for (const auto& [domain, name] : model.owner_of_domain) {
    if (absl::Status status = hypervisor.Destroy(domain); !status.ok()) {
      Log(Level::kError, "domain cannot be destroyed",
          {{"domain", absl::StrCat(domain)}, {"error", std::string(status.message())}});
    }
  }
}

void Controller::CloseNics() {
  for (const std::string& name : Names(model.nics)) {
    if (absl::Status status = nics.Close(name); !status.ok()) {
      Log(Level::kError, "NIC cannot be closed", {{"nic", name}, {"error", std::string(status.message())}});
    }
  }
}

void Controller::OnDomainExit(hypervisor::DomainId domain, const hypervisor::DomainExit& exit) {
  auto it = model.owner_of_domain.find(domain);
  if (it == model.owner_of_domain.end()) return;
  std::string owner = it->second;
  model.owner_of_domain.erase(it);
  if (stopping_) return;  // Nothing is to be replaced any more; the next daemon sees that they are gone.
  if (IsServer(owner)) {
    servers.OnDomainExit(owner, domain, exit);
    // Guests show the state of their channel.
    for (const auto& [name, guest] : model.guests) {
      if (guest.resource().spec().server() == owner) model.Changed(name);
    }
  } else {
    guests.OnDomainExit(owner, domain, exit);
  }
}

void Controller::OnDomainConnected(hypervisor::DomainId domain) {
  auto it = model.owner_of_domain.find(domain);
  if (it == model.owner_of_domain.end() || stopping_) return;
  if (IsServer(it->second)) {
    servers.OnDomainConnected(it->second, domain);
  } else {
    guests.OnDomainConnected(it->second, domain);
  }
  nics.OpenAll();
}

void Controller::OnDeviceReturned(hypervisor::DomainId domain, const std::string& nic) {
  auto it = model.owner_of_domain.find(domain);
  if (it == model.owner_of_domain.end() || stopping_ || IsServer(it->second)) return;
  guests.OnDeviceReturned(it->second, domain, nic);
}

void Controller::OnNicTrouble(const std::string& nic, const std::string& what) {
  nics.OnTrouble(absl::StrCat("nics/", nic), what);
}

void Controller::OnDomainViolation(hypervisor::DomainId domain, const std::string& reason) {
  auto it = model.owner_of_domain.find(domain);
  Log(Level::kWarning, "domain broke a rule",
      {{"domain", absl::StrCat(domain)},
       {"name", it == model.owner_of_domain.end() ? "" : it->second},
       {"reason", reason}});
}

void Controller::OnRegistry(const std::string& path) {
  absl::string_view rest = path;
  if (stopping_ || !absl::ConsumePrefix(&rest, kDomains) || !absl::ConsumePrefix(&rest, "/")) return;
  auto slash = rest.find('/');
  uint32_t domain = 0;
  if (slash == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, slash), &domain)) return;
  absl::string_view key = rest.substr(slash + 1);
  auto it = model.owner_of_domain.find(domain);
  if (it == model.owner_of_domain.end()) return;
  std::string owner = it->second;
  if (!IsServer(owner)) return guests.OnKey(owner, domain, key);
  servers.OnKey(owner, domain, key);
  if (absl::ConsumePrefix(&key, "backend/vif/")) {
    uint32_t guest = 0;
    if (absl::SimpleAtoi(key.substr(0, key.find('/')), &guest)) {
      if (auto g = model.owner_of_domain.find(guest); g != model.owner_of_domain.end())
        model.Changed(g->second);
    }
  }
}

}  // namespace librettos::daemon
