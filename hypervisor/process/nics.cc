#include "hypervisor/process/nics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "hypervisor/fnv.h"
#include "hypervisor/process/path.h"

namespace librettos::process {
namespace {

using hypervisor::NicConfig;
using hypervisor::NicInfo;

constexpr size_t kMaxClaims = 8;        // Per domain.
constexpr uint32_t kDeviceKindTap = 1;  // guest/platform/platform.h: DeviceKind::kTap.

std::string MacText(absl::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    absl::StrAppend(&text, text.empty() ? "" : ":",
                    absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
  }
  return text;
}

// "02:00:00:00:00:01" to 6 bytes.
absl::StatusOr<std::string> MacBytes(const std::string& text) {
  unsigned b[6];
  int end = 0;
  if (sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) !=
          6 ||
      text.size() != 17 || end != 17 || (b[0] & 1) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a unicast hardware address such as 02:00:00:00:00:01"));
  }
  std::string bytes;
  for (const unsigned byte : b) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

absl::string_view AsText(const std::array<uint8_t, 6>& address) {
  return {reinterpret_cast<const char*>(address.data()), address.size()};
}

absl::Status Unknown(const std::string& nic) {
  return absl::NotFoundError(absl::StrCat("NIC ", nic, " is not open"));
}

}  // namespace

std::array<uint8_t, 6> NicAddress(const NicConfig& config) {
  std::string machine;
  std::ifstream("/etc/machine-id") >> machine;
  const uint64_t hash = Fnv1a(absl::StrCat(machine, "|", config.network_namespace, "|", config.interface));
  std::array<uint8_t, 6> address{0x02};
  for (int i = 1; i < 6; ++i) address[i] = static_cast<uint8_t>(hash >> (8 * i));
  return address;
}

Nics::Nics(std::string directory) : directory_(std::move(directory)), next_giving_(std::random_device()()) {}

std::string Nics::MarkOf(const std::string& nic) const {
  // '/' is the only character of a NIC's name that a file name cannot have.
  return absl::StrCat(directory_, "/", absl::StrReplaceAll(nic, {{"/", "+"}}), ".made");
}

absl::StatusOr<NicInfo> Nics::Open(const std::string& name, const NicConfig& config, bool adopting) {
  if (!ValidNicName(name))
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is not a NIC's name"));
  if (auto open = nics_.find(name); open != nics_.end()) {
    if (open->second.config.interface == config.interface &&
        open->second.config.network_namespace == config.network_namespace) {
      return open->second.info;
    }
    return absl::AlreadyExistsError(
        absl::StrCat("NIC ", name, " is open on another interface; close it first"));
  }
  for (const auto& [other, nic] : nics_) {
    if (nic.config.interface == config.interface &&
        nic.config.network_namespace == config.network_namespace) {
      return absl::AlreadyExistsError(
          absl::StrCat("interface ", config.interface, " is NIC ", other, " already"));
    }
  }
  Nic nic;
  nic.config = config;
  // A descriptor that a domain kept over the restart is preferred: while it is open, nobody else can have
  // one.
  for (auto claim = claims_.lower_bound({name, 0}); claim != claims_.end() && claim->first.first == name;
       ++claim) {
    if (!CheckTap(claim->second.descriptor->get(), config).ok()) continue;
    nic.descriptor = claim->second.descriptor;
    nic.user = claim->second.kind;
    nic.holder = claim->second.domain;
    nic.giving = claim->second.giving;
    nic.declared = true;
    break;
  }
  if (nic.descriptor == nullptr) {
    absl::StatusOr<OpenTap> tap = OpenTapInterface(config);
    if (!tap.ok()) {
      if (!absl::IsAlreadyExists(tap.status()) || !adopting) return tap.status();
      return absl::UnavailableError(absl::StrCat(
          "NIC ", name, " is in use, perhaps by a domain that has not yet said what it holds; try again"));
    }
    nic.descriptor = std::make_shared<Descriptor>(std::move(tap->descriptor));
    if (tap->made) {
      std::ofstream mark(MarkOf(name));
      mark << config.interface << "\n";
      mark.close();
      if (mark.fail()) {
        // Without the mark a later daemon would leave it behind for ever.
        (void)MakeTransient(nic.descriptor->get());
        return absl::UnavailableError(absl::StrCat("cannot write ", MarkOf(name), ": ", strerror(errno)));
      }
    }
  }
  std::string marked;
  std::ifstream(MarkOf(name)) >> marked;
  nic.made = marked == config.interface;
  absl::StatusOr<uint32_t> mtu = TapMtu(config);
  if (!mtu.ok()) return mtu.status();
  nic.info = {.address = MacText(AsText(NicAddress(config))), .mtu = *mtu};
  nic.given_address = std::string(AsText(NicAddress(config)));
  for (auto claim = claims_.lower_bound({name, 0}); claim != claims_.end() && claim->first.first == name;) {
    claim = claims_.erase(claim);
  }
  return nics_.emplace(name, std::move(nic)).first->second.info;
}

absl::Status Nics::Close(const std::string& name) {
  auto found = nics_.find(name);
  if (found == nics_.end()) return Unknown(name);
  absl::Status status;
  if (found->second.made) {
    status = MakeTransient(found->second.descriptor->get());
    unlink(MarkOf(name).c_str());
  }
  nics_.erase(found);
  return status;
}

absl::StatusOr<bool> Nics::Give(const std::string& name, DomainId domain, DomainKind kind,
                                const std::string& address, bool connected) {
  auto found = nics_.find(name);
  if (found == nics_.end()) return Unknown(name);
  Nic& nic = found->second;
  std::string bytes(AsText(NicAddress(nic.config)));
  if (!address.empty()) {
    absl::StatusOr<std::string> given = MacBytes(address);
    if (!given.ok()) return given.status();
    bytes = *std::move(given);
  }
  if (nic.holder != 0 && nic.holder != domain) {
    return absl::FailedPreconditionError(
        absl::StrCat("NIC ", name, " is used by domain ", nic.holder, ", which has to return it first"));
  }
  if (nic.holder == domain && nic.declared) return false;
  const bool others = nic.holder != domain && (nic.user == DomainKind::kGuest || kind == DomainKind::kGuest);
  nic.user = kind;
  nic.holder = domain;
  nic.giving = next_giving_++;
  nic.declared = connected;
  nic.given_address = std::move(bytes);
  // The former user shared the open file, and may have made it blocking.
  const int flags = fcntl(nic.descriptor->get(), F_GETFL);
  fcntl(nic.descriptor->get(), F_SETFL, flags | O_NONBLOCK);
  if (others) DiscardReceived(nic.descriptor->get());
  return connected;
}

Message Nics::DeviceMessage(const std::string& name) const {
  const Nic& nic = nics_.at(name);
  return Message{.type = WireType::kDevice,
                 .number = nic.giving,
                 .a = kDeviceKindTap,
                 .b = nic.info.mtu,
                 .path = name,
                 .value = nic.given_address,
                 .descriptors = {nic.descriptor}};
}

void Nics::BeginDeclaration(DomainId domain) {
  for (auto& [name, nic] : nics_) {
    if (nic.holder == domain) nic.declared = false;
  }
}

absl::Status Nics::Held(const std::string& name, DomainId domain, DomainKind kind, uint32_t giving,
                        SharedDescriptor descriptor) {
  auto found = nics_.find(name);
  if (found == nics_.end()) {
    size_t claimed = 0;
    for (const auto& [key, claim] : claims_) claimed += key.second == domain;
    if (claimed >= kMaxClaims) return absl::ResourceExhaustedError("it claims too many NICs");
    claims_[{name, domain}] = {domain, kind, giving, std::move(descriptor)};
    return absl::OkStatus();
  }
  Nic& nic = found->second;
  if (absl::Status checked = CheckTap(descriptor->get(), nic.config); !checked.ok()) return checked;
  if (nic.holder != 0 && nic.holder != domain) {
    return absl::PermissionDeniedError(
        absl::StrCat("it holds NIC ", name, ", which domain ", nic.holder, " has"));
  }
  nic.user = kind;
  nic.holder = domain;
  nic.giving = giving;
  nic.declared = true;
  return absl::OkStatus();
}

std::vector<std::string> Nics::EndDeclaration(DomainId domain) {
  std::vector<std::string> missing;
  for (auto& [name, nic] : nics_) {
    if (nic.holder != domain || nic.declared) continue;
    nic.declared = true;
    missing.push_back(name);
  }
  return missing;
}

absl::StatusOr<bool> Nics::Returned(const std::string& name, DomainId domain, uint32_t giving,
                                    const std::function<TapUse(const std::string& interface)>& use) {
  auto found = nics_.find(name);
  if (found == nics_.end()) {
    claims_.erase({name, domain});
    return true;
  }
  Nic& nic = found->second;
  if (nic.holder != domain) return true;
  if (nic.giving != giving) return false;
  // A server's successor serves the same guests, and waits: to look takes a moment for each descriptor.
  switch (nic.user == DomainKind::kGuest ? use(nic.config.interface) : TapUse::kNone) {
    case TapUse::kNone:
      break;
    case TapUse::kOpen:
      return absl::PermissionDeniedError(absl::StrCat("gives NIC ", name, " back and keeps it open"));
    case TapUse::kUnread:
      return absl::UnavailableError("it has descriptors still to receive");
  }
  nic.holder = 0;
  nic.declared = false;
  return true;
}

void Nics::DropDomain(DomainId domain) {
  for (auto& [name, nic] : nics_) {
    if (nic.holder != domain) continue;
    nic.holder = 0;
    nic.declared = false;
  }
  for (auto claim = claims_.begin(); claim != claims_.end();) {
    claim = claim->first.second == domain ? claims_.erase(claim) : std::next(claim);
  }
}

}  // namespace librettos::process
