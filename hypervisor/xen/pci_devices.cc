#include "hypervisor/xen/pci_devices.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

using hypervisor::NicConfig;
using hypervisor::NicInfo;

constexpr uint32_t kEthernetMtu = 1500;
constexpr absl::Duration kFirstRetry = absl::Milliseconds(500);
constexpr absl::Duration kLastRetry = absl::Seconds(10);

absl::Status Unknown(const std::string& nic) {
  return absl::NotFoundError(absl::StrCat("NIC ", nic, " is not open"));
}

}  // namespace

std::string DerivedAddress(const std::string& nic, const PciAddress& function) {
  std::string machine;
  std::ifstream("/etc/machine-id") >> machine;
  uint64_t hash = 14695981039346656037ull;  // FNV-1a.
  for (const char c : absl::StrCat(machine, "|", nic, "|", function.text())) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  }
  std::string text = "02";
  for (int i = 1; i < 6; ++i)
    absl::StrAppend(&text, ":", absl::Hex((hash >> (8 * i)) & 0xff, absl::kZeroPad2));
  return text;
}

absl::StatusOr<NicInfo> PciDevices::Open(const std::string& nic, const NicConfig& config) {
  const auto address = PciAddress::Parse(config.pci_address);
  if (!address.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", config.pci_address, "\" is not a PCI address such as 0000:03:00.0"));
  }
  for (const auto& [other, function] : functions_) {
    if (other != nic && function.function == *address) {
      return absl::AlreadyExistsError(absl::StrCat(address->text(), " is NIC ", other, " already"));
    }
  }
  auto known = functions_.find(nic);
  if (known != functions_.end() && !(known->second.function == *address)) {
    return absl::AlreadyExistsError(
        absl::StrCat("NIC ", nic, " is the function ", known->second.function.text(), "; close it first"));
  }
  if (known != functions_.end() && known->second.open) return known->second.info;
  const auto sysfs = backend_.Inspect(*address);
  if (!sysfs.ok()) return sysfs.status();
  if (!sysfs->up.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(address->text(), " is the interface ", sysfs->up,
                                                      ", which domain 0 uses; first: ip link set ", sysfs->up,
                                                      " down"));
  }
  if (!sysfs->assignable()) {
    if (absl::Status status = backend_.MakeAssignable(*address); !status.ok()) return status;
  }
  Function& function = functions_[nic];
  function.function = *address;
  function.open = true;
  // Once domain 0 does not drive it any more, only the daemon's own record knows.
  function.info.address = !sysfs->address.empty()         ? sysfs->address
                          : !config.known_address.empty() ? config.known_address
                                                          : DerivedAddress(nic, *address);
  function.info.mtu = sysfs->mtu != 0 ? sysfs->mtu : config.known_mtu != 0 ? config.known_mtu : kEthernetMtu;
  return function.info;
}

absl::Status PciDevices::Close(const std::string& nic) {
  auto found = functions_.find(nic);
  if (found == functions_.end() || !found->second.open) return Unknown(nic);
  const Function function = found->second;
  functions_.erase(found);
  if (function.state == State::kFree) return backend_.Release(function.function);
  if (function.state != State::kHolderDied) {
    observer_.OnDetached(function.holder, nic);
    backend_.Detach(function.holder, function.function, [](absl::Status) {});
  }
  backend_.ReleaseAfter(function.holder, function.function);
  return absl::OkStatus();
}

absl::Status PciDevices::Give(const std::string& nic, DomainId domain, const std::string& address) {
  auto found = functions_.find(nic);
  if (found == functions_.end() || !found->second.open) return Unknown(nic);
  Function& function = found->second;
  const std::string& given = address.empty() ? function.info.address : address;
  switch (function.state) {
    case State::kFree:
      function.failures = 0;
      observer_.OnGiven(domain, nic, function.function, given, function.info.mtu);
      Attach(nic, function, domain, given);
      return absl::OkStatus();
    case State::kAttaching:
    case State::kAttached:
      if (function.holder == domain) {
        function.recalled = false;
        return absl::OkStatus();
      }
      return absl::FailedPreconditionError(absl::StrCat("NIC ", nic, " is used by domain ", function.holder,
                                                        ", which has to return it first"));
    case State::kDetaching:
    case State::kHolderDied:
      observer_.OnGiven(domain, nic, function.function, given, function.info.mtu);
      function.next = domain;
      function.next_address = given;
      return absl::OkStatus();
  }
  return absl::InternalError("impossible state");
}

void PciDevices::Recall(const std::string& nic, DomainId domain) {
  auto found = functions_.find(nic);
  if (found == functions_.end()) return;
  Function& function = found->second;
  if (function.next == domain) {
    function.next = 0;
    observer_.OnDetached(domain, nic);
  } else if (function.holder == domain && function.state == State::kAttaching) {
    function.recalled = true;
  }
}

void PciDevices::Attach(const std::string& nic, Function& function, DomainId domain,
                        const std::string& address) {
  function.state = State::kAttaching;
  function.recalled = false;
  function.holder = domain;
  backend_.Attach(domain, function.function, [this, nic, domain, address](absl::StatusOr<int> slot) {
    OnAttached(nic, domain, address, std::move(slot));
  });
}

PciDevices::Function* PciDevices::Attaching(const std::string& nic, DomainId domain) {
  auto found = functions_.find(nic);
  const bool attaching =
      found != functions_.end() && found->second.holder == domain && found->second.state == State::kAttaching;
  return attaching ? &found->second : nullptr;
}

void PciDevices::OnAttached(const std::string& nic, DomainId domain, const std::string& address,
                            absl::StatusOr<int> slot) {
  Function* function = Attaching(nic, domain);
  if (function == nullptr) return;
  if (slot.ok() && function->recalled) return Detach(nic, *function, domain);
  if (slot.ok()) {
    function->state = State::kAttached;
    if (std::exchange(function->failures, 0) > 0) observer_.OnTrouble(nic, "");
    return observer_.OnAttached(domain, nic, *slot, address, function->info.mtu);
  }
  observer_.OnTrouble(nic, std::string(slot.status().message()));
  // It stays this domain's: another one has to wait, as it would if this had worked.
  backend_.Detach(domain, function->function,
                  [this, nic, domain, address](absl::Status) { AttachAgain(nic, domain, address); });
}

void PciDevices::AttachAgain(const std::string& nic, DomainId domain, const std::string& address) {
  Function* function = Attaching(nic, domain);
  if (function == nullptr) return;
  const absl::Duration delay = std::min(kFirstRetry * (1 << std::min(function->failures++, 10)), kLastRetry);
  backend_.After(delay, [this, nic, domain, address] {
    Function* again = Attaching(nic, domain);
    if (again == nullptr) return;
    if (again->recalled) return Detach(nic, *again, domain);
    Attach(nic, *again, domain, address);
  });
}

void PciDevices::Adopt(const std::string& nic, DomainId domain, const PciAddress& address_of_function,
                       const std::string& address, uint32_t mtu, bool told) {
  Function& function = functions_[nic];
  if (function.holder != 0) {  // It waits for the other one's hold to end.
    function.next = domain;
    function.next_address = address;
    return;
  }
  function.function = address_of_function;
  function.info.mtu = mtu;
  if (!told) return Attach(nic, function, domain, address);
  function.state = State::kAttached;
  function.holder = domain;
}

absl::Status PciDevices::Returned(const std::string& nic, DomainId domain) {
  auto found = functions_.find(nic);
  if (found == functions_.end() || found->second.holder != domain) {
    return absl::PermissionDeniedError(absl::StrCat("it returns NIC ", nic, ", which it does not have"));
  }
  Function& function = found->second;
  if (function.state != State::kAttached) return absl::OkStatus();  // Told twice, or of the time before.
  Detach(nic, function, domain);
  return absl::OkStatus();
}

void PciDevices::Detach(const std::string& nic, Function& function, DomainId domain) {
  function.state = State::kDetaching;
  backend_.Detach(domain, function.function, [this, nic, domain](absl::Status status) {
    // What cannot be detached is still the domain's; it is freed with the domain at the latest.
    if (!status.ok()) observer_.OnTrouble(nic, std::string(status.message()));
    OnDetached(nic, domain);
  });
}

void PciDevices::OnDetached(const std::string& nic, DomainId domain) {
  auto found = functions_.find(nic);
  if (found == functions_.end() || found->second.holder != domain ||
      found->second.state != State::kDetaching) {
    return;  // The domain died meanwhile.
  }
  // Free first: the observer may give it on.
  found->second.state = State::kFree;
  found->second.holder = 0;
  observer_.OnDetached(domain, nic);
  if (auto again = functions_.find(nic); again != functions_.end()) Free(nic, again->second);
}

void PciDevices::Free(const std::string& nic, Function& function) {
  if (function.state != State::kFree || function.next == 0) return;
  function.failures = 0;
  Attach(nic, function, std::exchange(function.next, 0), function.next_address);
}

void PciDevices::DomainDied(DomainId domain) {
  for (auto& [nic, function] : functions_) {
    if (function.next == domain) function.next = 0;
    if (function.holder == domain) function.state = State::kHolderDied;
  }
}

void PciDevices::DomainGone(DomainId domain) {
  for (auto& [nic, function] : functions_) {
    if (function.holder != domain) continue;
    function.state = State::kFree;
    function.holder = 0;
    Free(nic, function);
  }
}

}  // namespace librettos::xen
