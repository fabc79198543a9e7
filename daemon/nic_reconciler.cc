#include "daemon/nic_reconciler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "daemon/names.h"

namespace librettos::daemon {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
constexpr absl::Duration kLastRetry = absl::Seconds(1);

}  // namespace

absl::Status NicReconciler::Open(const std::string& name) {
  NicRecord* record = model_.FindNic(name);
  if (record == nullptr) return absl::NotFoundError("no such NIC");
  Runtime& runtime = runtime_[name];
  if (runtime.open) return absl::OkStatus();
  const v1::NicSpec& spec = record->resource().spec();
  const v1::Tap& tap = spec.tap();
  auto info = hypervisor_.OpenNic(IdOf(name), {.interface = tap.interface(),
                                               .network_namespace = tap.network_namespace(),
                                               .bridge = tap.bridge(),
                                               .pci_address = spec.pci().address(),
                                               .known_address = record->mac(),
                                               .known_mtu = record->mtu()});
  if (!info.ok()) {
    if (runtime.error != info.status().message()) {
      runtime.error = std::string(info.status().message());
      Log(Level::kWarning, "NIC cannot be opened", {{"nic", name}, {"error", runtime.error}});
      model_.Changed(name);
    }
    return info.status();
  }
  runtime.open = true;
  runtime.error.clear();
  bool learned = record->mac() != info->address || record->mtu() != info->mtu;
  record->set_mac(info->address);
  record->set_mtu(info->mtu);
  if (learned) {
    model_.MarkDirty();
    learned_(name);
  }
  model_.Changed(name);
  TryGive(name, runtime);
  return absl::OkStatus();
}

void NicReconciler::OpenAll() {
  bool missing = false;
  for (const auto& [name, record] : model_.nics) {
    if (!Open(name).ok()) {
      missing = true;
      continue;
    }
    Runtime& runtime = runtime_[name];
    TryGive(name, runtime);
    missing = missing || (runtime.holder != 0 && !runtime.given);
  }
  if (missing) {
    ArmRetry();
  } else {
    retry_delay_ = kFirstRetry;
  }
}

void NicReconciler::ArmRetry() {
  if (retry_ != 0) return;
  retry_ = scheduler_.After(retry_delay_, [this] {
    retry_ = 0;
    retry_delay_ = std::min(retry_delay_ * 2, kLastRetry);
    OpenAll();
  });
}

absl::Status NicReconciler::Close(const std::string& name) {
  if (is_open(name)) {
    absl::Status status = hypervisor_.CloseNic(IdOf(name));
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  runtime_.erase(name);
  return absl::OkStatus();
}

bool NicReconciler::is_open(const std::string& name) const {
  auto it = runtime_.find(name);
  return it != runtime_.end() && it->second.open;
}

void NicReconciler::Give(const std::string& name, uint32_t domain, const std::string& address) {
  Runtime& runtime = runtime_[name];
  runtime.holder = domain;
  runtime.address = address;
  runtime.given = false;
  if (runtime.open) TryGive(name, runtime);
  if (!runtime.given) ArmRetry();
  model_.Changed(name);
}

void NicReconciler::AssumeGiven(const std::string& name, uint32_t domain) {
  Runtime& runtime = runtime_[name];
  runtime.holder = domain;
  runtime.given = true;
}

void NicReconciler::Withdraw(const std::string& name, uint32_t domain) {
  Runtime& runtime = runtime_[name];
  if (runtime.holder != domain) return;  // It has been given to somebody else since.
  runtime.holder = 0;
  runtime.given = false;
  runtime.address.clear();
  model_.Changed(name);
}

bool NicReconciler::Recall(const std::string& name, uint32_t domain) {
  auto it = runtime_.find(name);
  if (it == runtime_.end() || it->second.holder != domain) return false;
  if (!it->second.given) return true;
  hypervisor_.RecallNic(IdOf(name), domain);
  return false;
}

void NicReconciler::TryGive(const std::string& name, Runtime& runtime) {
  if (runtime.holder == 0 || runtime.given) return;
  absl::Status status = hypervisor_.GiveNic(IdOf(name), runtime.holder, runtime.address);
  runtime.given = status.ok();
  std::string error = status.ok() ? "" : absl::StrCat("cannot be given to its owner: ", status.message());
  if (error == runtime.error) return;
  runtime.error = error;
  if (!status.ok()) Log(Level::kWarning, "NIC cannot be given", {{"nic", name}, {"error", error}});
  model_.Changed(name);
}

void NicReconciler::OnTrouble(const std::string& name, const std::string& what) {
  auto it = runtime_.find(name);
  if (it == runtime_.end() || it->second.error == what) return;
  it->second.error = what;
  if (!what.empty()) Log(Level::kWarning, "NIC cannot be given", {{"nic", name}, {"error", what}});
  model_.Changed(name);
}

std::string NicReconciler::OwnerOf(const std::string& name) const {
  if (name.empty()) return "";
  for (const auto& [server, record] : model_.servers) {
    const v1::NetworkServerSpec& spec = record.resource().spec();
    if (spec.nic() == name || spec.standby_nic() == name) return server;
  }
  for (const auto& [guest, record] : model_.guests) {
    if (record.nic() == name) return guest;
  }
  return "";
}

std::string NicReconciler::FirstFree() const {
  for (const auto& [name, record] : model_.nics) {
    if (is_open(name) && OwnerOf(name).empty()) return name;
  }
  return "";
}

v1::Nic NicReconciler::View(const std::string& name) const {
  const NicRecord& record = *model_.FindNic(name);
  v1::Nic nic = record.resource();
  v1::NicStatus& status = *nic.mutable_status();
  auto it = runtime_.find(name);
  bool open = it != runtime_.end() && it->second.open;
  status.set_owner(OwnerOf(name));
  status.set_state(!open                    ? v1::NicStatus::UNAVAILABLE
                   : status.owner().empty() ? v1::NicStatus::FREE
                                            : v1::NicStatus::ASSIGNED);
  if (it != runtime_.end()) status.set_message(it->second.error);
  status.set_mac(record.mac());
  status.set_mtu(record.mtu());
  return nic;
}

}  // namespace librettos::daemon
