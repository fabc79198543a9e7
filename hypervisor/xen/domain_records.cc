#include "hypervisor/xen/domain_records.h"

#include <string.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace librettos::xen {
namespace {

using hypervisor::DomainKind;

constexpr char kRoot[] = "/librettos";
constexpr char kDomains[] = "/librettos/domain";

std::string PathOf(DomainId domain) { return absl::StrCat(kDomains, "/", domain); }

}  // namespace

std::string ToText(const NicRecord& nic) {
  return absl::StrCat(nic.function.text(), " ", nic.address, " ", nic.mtu);
}

std::optional<NicRecord> ParseNicRecord(const std::string& nic, const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text, ' ');
  NicRecord record{.nic = nic};
  if (words.size() != 3 || !absl::SimpleAtoi(words[2], &record.mtu)) return std::nullopt;
  const auto function = PciAddress::Parse(words[0]);
  if (!function.has_value()) return std::nullopt;
  record.function = *function;
  record.address = words[1];
  return record;
}

absl::Status DomainRecords::Prepare() { return xenstore_.Hide(kRoot); }

absl::Status DomainRecords::Write(const DomainRecord& record) {
  const std::string path = PathOf(record.id);
  const absl::string_view uuid(reinterpret_cast<const char*>(record.uuid.data()), record.uuid.size());
  absl::Status status = xenstore_.Write(path + "/name", record.name);
  status.Update(xenstore_.Write(path + "/kind", record.kind == DomainKind::kServer ? "server" : "guest"));
  status.Update(xenstore_.Write(path + "/uuid", absl::BytesToHexString(uuid)));
  status.Update(xenstore_.Write(path + "/state", record.complete ? "complete" : "building"));
  return status;
}

std::vector<DomainRecord> DomainRecords::All() {
  std::vector<DomainRecord> records;
  for (const std::string& name : xenstore_.List(kDomains)) {
    DomainRecord record;
    if (!absl::SimpleAtoi(name, &record.id)) continue;
    const std::string path = PathOf(record.id);
    record.name = xenstore_.Read(path + "/name").value_or("");
    record.kind =
        xenstore_.Read(path + "/kind").value_or("") == "server" ? DomainKind::kServer : DomainKind::kGuest;
    record.complete = xenstore_.Read(path + "/state").value_or("") == "complete";
    const std::string uuid = absl::HexStringToBytes(xenstore_.Read(path + "/uuid").value_or(""));
    if (uuid.size() == record.uuid.size()) memcpy(record.uuid.data(), uuid.data(), uuid.size());
    records.push_back(std::move(record));
  }
  return records;
}

void DomainRecords::Remove(DomainId domain) { xenstore_.Remove(PathOf(domain)); }

void DomainRecords::WriteNic(DomainId domain, const NicRecord& nic) {
  (void)xenstore_.Write(absl::StrCat(PathOf(domain), "/nic/", nic.nic), ToText(nic));
}

void DomainRecords::RemoveNic(DomainId domain, const std::string& nic) {
  xenstore_.Remove(absl::StrCat(PathOf(domain), "/nic/", nic));
}

std::vector<NicRecord> DomainRecords::Nics(DomainId domain) {
  std::vector<NicRecord> nics;
  const std::string path = PathOf(domain) + "/nic";
  for (const std::string& name : xenstore_.List(path)) {
    auto nic = ParseNicRecord(name, xenstore_.Read(absl::StrCat(path, "/", name)).value_or(""));
    if (nic.has_value()) nics.push_back(*std::move(nic));
  }
  return nics;
}

}  // namespace librettos::xen
