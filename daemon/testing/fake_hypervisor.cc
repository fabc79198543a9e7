#include "daemon/testing/fake_hypervisor.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace librettos::hypervisor {
namespace {

std::string Base(DomainId domain) { return absl::StrCat("/local/domain/", domain, "/"); }

}  // namespace

void FakeHypervisor::Tell(const std::string& path) {
  if (watch_) watch_(path);
}

void FakeHypervisor::Connect(DomainId domain) {
  for (const auto& [key, value] : domains.at(domain).published) {
    registry_[Base(domain) + key] = value;
    Tell(Base(domain) + key);
  }
  for (const std::string& nic : domains.at(domain).devices) unavailable_nics.erase(nic);
  observer_->OnDomainConnected(domain);
}

void FakeHypervisor::Publish(DomainId domain, const std::string& key, const std::string& value) {
  domains.at(domain).published[key] = value;
  registry_[Base(domain) + key] = value;
  Tell(Base(domain) + key);
}

void FakeHypervisor::Die(DomainId domain, const std::string& how, bool orderly) {
  domains.erase(domain);
  if (observer_ != nullptr) observer_->OnDomainExit(domain, {.orderly = orderly, .description = how});
}

void FakeHypervisor::DieAll() {
  std::vector<DomainId> dying;
  for (const auto& [id, domain] : domains) {
    if (domain.dying) dying.push_back(id);
  }
  for (DomainId id : dying) Die(id);
}

void FakeHypervisor::ReturnDevice(DomainId domain, const std::string& nic) {
  std::erase(domains.at(domain).devices, nic);
  observer_->OnDeviceReturned(domain, nic);
}

void FakeHypervisor::BeginRestart() {
  registry_.clear();
  watch_ = nullptr;
  observer_ = nullptr;
  reserved.clear();
  readers.clear();
  journal.clear();
  adopted_.clear();
  for (const auto& [id, domain] : domains) {
    adopted_.insert(id);
    unavailable_nics.insert(domain.devices.begin(), domain.devices.end());
  }
  open_nics.clear();
}

std::string FakeHypervisor::Key(const std::string& path) const {
  auto it = registry_.find(path);
  return it == registry_.end() ? "" : it->second;
}

DomainId FakeHypervisor::Named(const std::string& prefix) const {
  DomainId newest = 0;
  for (const auto& [id, domain] : domains) {
    if (absl::StartsWith(domain.config.name, prefix)) newest = id;
  }
  return newest;
}

absl::StatusOr<DomainId> FakeHypervisor::Create(const DomainConfig& config) {
  if (fail_create) return absl::ResourceExhaustedError("no more processes");
  DomainId id = next_id_++;
  domains[id].config = config;
  ++creations;
  journal.push_back(absl::StrCat("create ", config.name));
  return id;
}

absl::Status FakeHypervisor::Destroy(DomainId domain) {
  auto it = domains.find(domain);
  if (it == domains.end()) return absl::NotFoundError("no such domain");
  it->second.dying = true;
  journal.push_back(absl::StrCat("destroy ", domain));
  return absl::OkStatus();
}

std::vector<std::pair<DomainId, std::string>> FakeHypervisor::Adopted() const {
  std::vector<std::pair<DomainId, std::string>> adopted;
  for (DomainId id : adopted_) {
    if (auto it = domains.find(id); it != domains.end()) adopted.emplace_back(id, it->second.config.name);
  }
  return adopted;
}

void FakeHypervisor::Write(absl::string_view path, absl::string_view value) {
  registry_[std::string(path)] = std::string(value);
  journal.push_back(absl::StrCat("write ", path, " ", value));
  Tell(std::string(path));
}

absl::StatusOr<std::string> FakeHypervisor::Read(absl::string_view path) {
  auto it = registry_.find(std::string(path));
  if (it == registry_.end()) return absl::NotFoundError("no such key");
  return it->second;
}

std::vector<std::string> FakeHypervisor::List(absl::string_view path) {
  std::set<std::string> names;
  std::string prefix = absl::StrCat(path, "/");
  for (const auto& [key, value] : registry_) {
    if (!absl::StartsWith(key, prefix)) continue;
    std::string rest = key.substr(prefix.size());
    names.insert(rest.substr(0, rest.find('/')));
  }
  return {names.begin(), names.end()};
}

void FakeHypervisor::Remove(absl::string_view path) {
  std::string below = absl::StrCat(path, "/");
  std::erase_if(registry_,
                [&](const auto& k) { return k.first == path || absl::StartsWith(k.first, below); });
  journal.push_back(absl::StrCat("remove ", path));
}

void FakeHypervisor::AllowRead(absl::string_view path, DomainId reader) {
  readers.emplace(std::string(path), reader);
}

void FakeHypervisor::Watch(absl::string_view, std::function<void(const std::string&)> callback) {
  watch_ = std::move(callback);
}

absl::StatusOr<NicInfo> FakeHypervisor::OpenNic(const std::string& nic, const NicConfig& config) {
  if (broken_interfaces.contains(config.interface)) return absl::NotFoundError("no such interface");
  if (unavailable_nics.contains(nic)) return absl::UnavailableError("its holder has not connected yet");
  open_nics.insert(nic);
  return NicInfo{.address = absl::StrCat("02:aa:00:00:00:0", nic.size() % 10), .mtu = 1500};
}

absl::Status FakeHypervisor::CloseNic(const std::string& nic) {
  open_nics.erase(nic);
  return absl::OkStatus();
}

absl::Status FakeHypervisor::GiveNic(const std::string& nic, DomainId domain, const std::string& address) {
  auto it = domains.find(domain);
  if (it == domains.end()) return absl::NotFoundError("no such domain");
  if (!open_nics.contains(nic)) return absl::UnavailableError("not open");
  it->second.devices.push_back(nic);
  journal.push_back(absl::StrCat("give ", nic, " ", domain, address.empty() ? "" : " ", address));
  return absl::OkStatus();
}

void FakeHypervisor::RecallNic(const std::string& nic, DomainId domain) {
  journal.push_back(absl::StrCat("recall ", nic, " ", domain));
}

absl::StatusOr<std::vector<uint64_t>> FakeHypervisor::Statistics(DomainId domain) {
  auto it = domains.find(domain);
  if (it == domains.end() || it->second.page.empty()) return absl::UnavailableError("no page");
  return it->second.page;
}

absl::StatusOr<uint64_t> FakeHypervisor::Heartbeat(DomainId domain) {
  auto it = domains.find(domain);
  if (it == domains.end()) return absl::UnavailableError("gone");
  if (it->second.beats) ++it->second.heartbeat;
  return it->second.heartbeat;
}

}  // namespace librettos::hypervisor
