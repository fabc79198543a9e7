#include "daemon/validation.h"

#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/addresses.h"
#include "daemon/connections.h"
#include "daemon/convert.h"
#include "daemon/errors.h"
#include "daemon/names.h"

namespace librettos::daemon {
namespace {

constexpr size_t kMaxPath = 4095;
constexpr int kMaxArguments = 64;
constexpr size_t kMaxArgumentBytes = 4096;
constexpr uint32_t kMinMemoryMib = 32, kMaxMemoryMib = 1 << 20;
constexpr uint32_t kMaxVcpus = 64;

absl::Status ValidatePath(const std::string& path, const std::string& field) {
  if (path.empty() || path[0] != '/' || path.size() > kMaxPath || path.find('\0') != std::string::npos) {
    return InvalidField(field, path, "is not an absolute path", "Give the whole path, starting with /");
  }
  return absl::OkStatus();
}

absl::Status ValidateInterface(const std::string& name, const std::string& field) {
  bool good = !name.empty() && name.size() <= 15 && name != "." && name != "..";
  for (unsigned char c : name) good = good && c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%';
  if (good) return absl::OkStatus();
  return InvalidField(field, name, "is not an interface name",
                      "Use up to 15 visible characters without slash, colon and percent sign");
}

absl::Status Taken(absl::string_view field, const std::string& value, const std::string& owner) {
  return MakeError(v1::ErrorInfo::ADDRESS_TAKEN,
                   {.resource = owner,
                    .field = std::string(field),
                    .value = value,
                    .what = absl::StrCat(field, ": ", value, " belongs to ", owner),
                    .next = "Choose another address, or delete that resource first"});
}

// Of a domain on Xen; `spec` is what `field` names.
absl::Status CheckSize(hypervisor::Kind kind, uint32_t memory_mib, uint32_t vcpus, const std::string& spec) {
  if (kind == hypervisor::Kind::kProcess && (memory_mib != 0 || vcpus != 0)) {
    return InvalidField(spec + (memory_mib != 0 ? ".memory_mib" : ".vcpus"),
                        absl::StrCat(memory_mib != 0 ? memory_mib : vcpus),
                        "is for domains on Xen, and this host's are processes", "Leave it out");
  }
  if (memory_mib != 0 && (memory_mib < kMinMemoryMib || memory_mib > kMaxMemoryMib)) {
    return InvalidField(spec + ".memory_mib", absl::StrCat(memory_mib),
                        absl::StrCat("is not ", kMinMemoryMib, " to ", kMaxMemoryMib),
                        "Leave it out for the default, or give a value in that range");
  }
  if (vcpus > kMaxVcpus) {
    return InvalidField(spec + ".vcpus", absl::StrCat(vcpus), absl::StrCat("is not 1 to ", kMaxVcpus),
                        "Leave it out for the default, or give a value in that range");
  }
  return absl::OkStatus();
}

// "0000:03:00.0", in small letters from now on.
bool CanonicalPciAddress(std::string* address) {
  constexpr absl::string_view kForm = "xxxx:xx:xx.7";
  if (address->size() != kForm.size()) return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    char& c = (*address)[i];
    c = absl::ascii_tolower(static_cast<unsigned char>(c));
    const bool good = kForm[i] == 'x'   ? absl::ascii_isxdigit(static_cast<unsigned char>(c))
                      : kForm[i] == '7' ? c >= '0' && c <= '7'
                                        : c == kForm[i];
    if (!good) return false;
  }
  return (*address)[8] == '0' || (*address)[8] == '1';  // 32 devices on a bus.
}

absl::Status ValidatePci(const Model& model, v1::Pci* pci) {
  const std::string field = "nic.spec.pci.address";
  if (pci->address().empty()) return MissingField(field, "Give the function's address; lspci -D shows it");
  if (!CanonicalPciAddress(pci->mutable_address())) {
    return InvalidField(field, pci->address(), "is not the address of a PCI function",
                        "Give one such as 0000:03:00.0; lspci -D shows it");
  }
  for (const auto& [name, record] : model.nics) {
    if (record.resource().spec().pci().address() != pci->address()) continue;
    return MakeError(v1::ErrorInfo::NIC_TAKEN,
                     {.resource = name,
                      .field = field,
                      .value = pci->address(),
                      .what = absl::StrCat("the function ", pci->address(), " is that of ", name, " already"),
                      .next = "Use that NIC, or another function"});
  }
  return absl::OkStatus();
}

absl::Status ValidateStandbyNic(Model& model, const v1::NetworkServerSpec& spec) {
  const std::string field = "network_server.spec.standby_nic";
  if (spec.standby_nic().empty()) return absl::OkStatus();
  if (auto id = ParseName("nics", spec.standby_nic(), field); !id.ok()) return id.status();
  if (spec.standby_nic() == spec.nic()) {
    return InvalidField(field, spec.standby_nic(), "is the server's first NIC",
                        "Give another one on its segment");
  }
  if (!spec.standby()) {
    return InvalidField(field, spec.standby_nic(), "is given though there is to be no standby",
                        "Leave it out, or have a standby");
  }
  const NicRecord* first = model.FindNic(spec.nic());
  const NicRecord* second = model.FindNic(spec.standby_nic());
  if (second == nullptr) return NoSuchResource(spec.standby_nic());
  if (first->mtu() != second->mtu()) {
    return InvalidField(
        field, spec.standby_nic(),
        absl::StrCat("has an MTU of ", second->mtu(), ", the first NIC one of ", first->mtu()),
        "Give both the same MTU, and declare them anew");
  }
  return absl::OkStatus();
}

// The resource that has `address` already, or empty.
std::string OwnerOfAddress(const Model& model, const IpAddress& address) {
  std::string why;
  auto among = [&](const auto& list) {
    for (const std::string& text : list) {
      auto other = ParseInterfaceAddress(text, &why);
      if (other.has_value() && other->SameHost(address)) return true;
    }
    return false;
  };
  for (const auto& [name, record] : model.servers) {
    if (among(record.resource().spec().shared_addresses())) return name;
  }
  for (const auto& [name, record] : model.guests) {
    if (among(record.resource().spec().addresses())) return name;
  }
  return "";
}

// Parses, canonicalises in place, and checks against each other and against all resources.
absl::StatusOr<std::vector<IpAddress>> CheckAddresses(const Model& model,
                                                      google::protobuf::RepeatedPtrField<std::string>* list,
                                                      const std::string& field) {
  std::vector<IpAddress> addresses;
  for (int i = 0; i < list->size(); ++i) {
    std::string item = absl::StrCat(field, "[", i, "]");
    std::string why;
    auto address = ParseInterfaceAddress(list->Get(i), &why);
    if (!address.has_value()) {
      return InvalidField(item, list->Get(i), why,
                          "Give an address with prefix length, such as 10.1.0.5/24 or fd00::5/64");
    }
    for (const IpAddress& other : addresses) {
      if (other.SameHost(*address)) return InvalidField(item, list->Get(i), "is given twice", "Give it once");
    }
    if (std::string owner = OwnerOfAddress(model, *address); !owner.empty()) {
      return Taken(item, address->Host(), owner);
    }
    *list->Mutable(i) = address->WithPrefix();
    addresses.push_back(*address);
  }
  return addresses;
}

absl::Status CheckGateway(std::string* gateway, bool v6, const std::vector<IpAddress>& addresses,
                          const std::string& field) {
  if (gateway->empty()) return absl::OkStatus();
  std::string why;
  auto address = ParseHostAddress(*gateway, &why);
  if (!address.has_value())
    return InvalidField(field, *gateway, why, "Give the router's address without prefix length");
  if (address->v6 != v6) {
    return InvalidField(field, *gateway, v6 ? "is not an IPv6 address" : "is not an IPv4 address",
                        "Give an address of the right family");
  }
  bool link_local = v6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
  bool reachable = link_local;
  for (const IpAddress& own : addresses) {
    if (own.SameHost(*address)) {
      return InvalidField(field, *gateway, "is the guest's own address", "Give the router's address");
    }
    reachable = reachable || own.Contains(*address);
  }
  if (!reachable) {
    return InvalidField(field, *gateway, "is in none of the subnets of the guest's addresses",
                        "Give a router in the guest's subnet, or correct the prefix length");
  }
  *gateway = address->Host();
  return absl::OkStatus();
}

absl::Status CheckMac(const Model& model, const std::string& mac, const std::string& field,
                      const std::string& next) {
  for (const auto& [name, record] : model.guests) {
    if (record.mac() != mac) continue;
    return MakeError(v1::ErrorInfo::ADDRESS_TAKEN,
                     {.resource = name,
                      .field = field,
                      .value = mac,
                      .what = absl::StrCat(field, ": ", mac, " belongs to ", name),
                      .next = next});
  }
  for (const auto& [name, record] : model.nics) {
    if (record.mac() != mac) continue;
    return MakeError(v1::ErrorInfo::ADDRESS_TAKEN,
                     {.resource = name,
                      .field = field,
                      .value = mac,
                      .what = absl::StrCat(field, ": ", mac, " belongs to ", name),
                      .next = next});
  }
  return absl::OkStatus();
}

absl::Status CheckArguments(const v1::GuestSpec& spec) {
  size_t bytes = 0;
  for (int i = 0; i < spec.arguments_size(); ++i) {
    bytes += spec.arguments(i).size() + 1;
    if (spec.arguments(i).find('\0') != std::string::npos) {
      return InvalidField(absl::StrCat("guest.spec.arguments[", i, "]"), "", "contains a NUL", "Remove it");
    }
  }
  if (spec.arguments_size() > kMaxArguments || bytes > kMaxArgumentBytes) {
    return InvalidField(
        "guest.spec.arguments", absl::StrCat(spec.arguments_size(), " arguments"),
        absl::StrCat("is more than ", kMaxArguments, " arguments or ", kMaxArgumentBytes, " bytes"),
        "Put long configuration into a file below `files`");
  }
  if (spec.image().empty() && spec.arguments_size() == 0) {
    return MissingField("guest.spec.arguments",
                        "Say what the guest is to run, such as echo, or give an image");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Duration> DurationIn(bool set, const google::protobuf::Duration& given,
                                          absl::Duration low, absl::Duration high, absl::Duration otherwise,
                                          const std::string& field) {
  if (!set) return otherwise;
  bool valid = given.nanos() > -1'000'000'000 && given.nanos() < 1'000'000'000;
  absl::Duration value = FromProto(given);
  if (valid && value >= low && value <= high) return value;
  return InvalidField(
      field, absl::FormatDuration(value),
      absl::StrCat("is not within ", absl::FormatDuration(low), " to ", absl::FormatDuration(high)),
      absl::StrCat("Leave it out for the default of ", absl::FormatDuration(otherwise),
                   ", or give a value in that range"));
}

absl::Status ValidateImage(const std::string& path, const std::string& field) {
  if (absl::Status status = ValidatePath(path, field); !status.ok()) return status;
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || access(path.c_str(), X_OK) != 0) {
    return InvalidField(field, path, "is not an executable file on this host",
                        "Give the path of the binary to run");
  }
  return absl::OkStatus();
}

absl::Status ValidateNic(const Model& model, hypervisor::Kind kind, v1::NicSpec* spec) {
  const bool xen = kind == hypervisor::Kind::kXen;
  if (!spec->has_tap() && !spec->has_pci()) {
    return MissingField(xen ? "nic.spec.pci" : "nic.spec.tap", "Say which device the NIC is");
  }
  if (xen && spec->has_tap()) {
    return InvalidField("nic.spec.tap", spec->tap().interface(), "cannot be a NIC of a domain on Xen",
                        "Give a PCI function in nic.spec.pci");
  }
  if (!xen && spec->has_pci()) {
    return InvalidField("nic.spec.pci", spec->pci().address(), "cannot be a NIC of a process",
                        "Give a TAP interface in nic.spec.tap, or run librettosd in Xen's domain 0");
  }
  if (xen) return ValidatePci(model, spec->mutable_pci());
  const v1::Tap& tap = spec->tap();
  if (tap.interface().empty())
    return MissingField("nic.spec.tap.interface", "Give the name of the TAP interface");
  if (auto s = ValidateInterface(tap.interface(), "nic.spec.tap.interface"); !s.ok()) return s;
  if (!tap.bridge().empty()) {
    if (auto s = ValidateInterface(tap.bridge(), "nic.spec.tap.bridge"); !s.ok()) return s;
  }
  if (!tap.network_namespace().empty()) {
    if (auto s = ValidatePath(tap.network_namespace(), "nic.spec.tap.network_namespace"); !s.ok()) return s;
  }
  for (const auto& [name, record] : model.nics) {
    const v1::Tap& other = record.resource().spec().tap();
    if (other.interface() == tap.interface() && other.network_namespace() == tap.network_namespace()) {
      return MakeError(v1::ErrorInfo::NIC_TAKEN, {.resource = name,
                                                  .field = "nic.spec.tap.interface",
                                                  .value = tap.interface(),
                                                  .what = absl::StrCat("the interface ", tap.interface(),
                                                                       " is that of ", name, " already"),
                                                  .next = "Use that NIC, or another interface"});
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateServer(Model& model, hypervisor::Kind kind, v1::NetworkServerSpec* spec) {
  auto nic = ParseName("nics", spec->nic(), "network_server.spec.nic");
  if (!nic.ok()) return nic.status();
  if (model.FindNic(spec->nic()) == nullptr) return NoSuchResource(spec->nic());
  if (spec->shared_addresses_size() > kMaxSharedAddresses) {
    return InvalidField("network_server.spec.shared_addresses",
                        absl::StrCat(spec->shared_addresses_size(), " addresses"),
                        absl::StrCat("is more than ", kMaxSharedAddresses), "Give fewer");
  }
  auto addresses =
      CheckAddresses(model, spec->mutable_shared_addresses(), "network_server.spec.shared_addresses");
  if (!addresses.ok()) return addresses.status();
  if (!spec->image().empty()) {
    if (auto s = ValidateImage(spec->image(), "network_server.spec.image"); !s.ok()) return s;
  }
  if (!spec->has_standby()) spec->set_standby(true);
  if (auto s = ValidateStandbyNic(model, *spec); !s.ok()) return s;
  if (auto s = CheckSize(kind, spec->memory_mib(), spec->vcpus(), "network_server.spec"); !s.ok()) return s;
  auto timeout = DurationIn(spec->has_hang_timeout(), spec->hang_timeout(), absl::Milliseconds(100),
                            absl::Seconds(60), absl::Milliseconds(500), "network_server.spec.hang_timeout");
  if (!timeout.ok()) return timeout.status();
  *spec->mutable_hang_timeout() = ToProto(*timeout);
  return absl::OkStatus();
}

absl::Status ValidateGuest(Model& model, hypervisor::Kind kind, const std::string& name, v1::GuestSpec* spec,
                           std::string* mac) {
  auto id = ParseName("servers", spec->server(), "guest.spec.server");
  if (!id.ok()) return id.status();
  const ServerRecord* server = model.FindServer(spec->server());
  if (server == nullptr || server->deleting()) return NoSuchResource(spec->server());
  auto own = CheckAddresses(model, spec->mutable_addresses(), "guest.spec.addresses");
  if (!own.ok()) return own.status();
  std::vector<IpAddress> addresses = *own;
  int v4 = 0;
  for (const IpAddress& a : addresses) v4 += a.v6 ? 0 : 1;
  if (v4 > 1 || addresses.size() - v4 > 4) {
    return InvalidField("guest.spec.addresses", absl::StrCat(addresses.size(), " addresses"),
                        "has more than one IPv4 or four IPv6 addresses", "Give fewer");
  }
  if (addresses.empty()) {
    std::string why;
    for (const std::string& text : server->resource().spec().shared_addresses()) {
      if (auto a = ParseInterfaceAddress(text, &why)) addresses.push_back(*a);
    }
    if (addresses.empty()) {
      return MissingField(
          "guest.spec.addresses",
          absl::StrCat(spec->server(), " has no shared addresses, so give the guest one of its own"));
    }
    if (!spec->mac().empty()) {
      return InvalidField("guest.spec.mac", spec->mac(), "cannot be given to a guest on shared addresses",
                          "Leave it out: the NIC's is used");
    }
    mac->clear();
  } else if (spec->mac().empty()) {
    *mac = DeriveMac(name);
    if (auto s = CheckMac(model, *mac, "guest.spec.mac", "Give another one in guest.spec.mac"); !s.ok())
      return s;
  } else {
    std::string why;
    auto parsed = ParseMac(spec->mac(), &why);
    if (!parsed.has_value())
      return InvalidField("guest.spec.mac", spec->mac(), why, "Give one such as 02:00:00:00:00:01");
    if (auto s = CheckMac(model, *parsed, "guest.spec.mac", "Choose another one"); !s.ok()) return s;
    spec->set_mac(*parsed);
    *mac = *parsed;
  }
  if (auto s = CheckGateway(spec->mutable_ipv4_gateway(), false, addresses, "guest.spec.ipv4_gateway");
      !s.ok())
    return s;
  if (auto s = CheckGateway(spec->mutable_ipv6_gateway(), true, addresses, "guest.spec.ipv6_gateway");
      !s.ok())
    return s;
  if (spec->queue_pairs() == 0) spec->set_queue_pairs(1);
  if (spec->queue_pairs() > kMaxQueuePairs) {
    return InvalidField("guest.spec.queue_pairs", absl::StrCat(spec->queue_pairs()),
                        absl::StrCat("is not 1 to ", kMaxQueuePairs),
                        absl::StrCat("Give 1 to ", kMaxQueuePairs));
  }
  if (!spec->image().empty()) {
    if (auto s = ValidateImage(spec->image(), "guest.spec.image"); !s.ok()) return s;
  }
  if (auto s = CheckArguments(*spec); !s.ok()) return s;
  if (auto s = CheckSize(kind, spec->memory_mib(), spec->vcpus(), "guest.spec"); !s.ok()) return s;
  if (!spec->files().empty()) {
    if (auto s = ValidatePath(spec->files(), "guest.spec.files"); !s.ok()) return s;
    struct stat info;
    if (stat(spec->files().c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return InvalidField("guest.spec.files", spec->files(), "is not a directory on this host",
                          "Give the directory that the guest may read");
    }
  }
  if (spec->restart() == v1::GuestSpec::RESTART_POLICY_UNSPECIFIED) spec->set_restart(v1::GuestSpec::ALWAYS);
  if (spec->restart() != v1::GuestSpec::ALWAYS && spec->restart() != v1::GuestSpec::NEVER) {
    return InvalidField("guest.spec.restart", absl::StrCat(spec->restart()), "is not a known policy",
                        "Use ALWAYS or NEVER");
  }
  return absl::OkStatus();
}

}  // namespace librettos::daemon
