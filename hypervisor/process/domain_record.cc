#include "hypervisor/process/domain_record.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace librettos::process {
namespace {

using hypervisor::DomainId;
using hypervisor::DomainKind;

std::string PathOf(const std::string& directory, DomainId id) {
  return absl::StrCat(directory, "/", id, ".json");
}

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file.good()) return std::nullopt;
  return text.str();
}

// The text of member `key`; records are flat, one member to a line, as WriteRecord makes them.
std::optional<std::string> Member(const std::string& text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, absl::StrCat("  \"", key, "\": "))) continue;
    absl::ConsumeSuffix(&line, ",");
    if (absl::ConsumePrefix(&line, "\"")) absl::ConsumeSuffix(&line, "\"");
    std::string value;
    if (!absl::CUnescape(line, &value)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

template <class T>
bool Number(const std::string& text, absl::string_view key, T* value) {
  const std::optional<std::string> member = Member(text, key);
  return member.has_value() && absl::SimpleAtoi(*member, value);
}

}  // namespace

std::optional<uint64_t> StartTime(int32_t pid) {
  const std::optional<std::string> text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.has_value()) return std::nullopt;
  // Field 2, the name, may hold anything; the last parenthesis ends it.
  const size_t end = text->rfind(')');
  if (end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(*text).substr(end + 1), ' ', absl::SkipEmpty());
  uint64_t start;
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[22 - 3], &start)) return std::nullopt;
  return start;
}

absl::Status WriteRecord(const std::string& directory, const DomainRecord& record) {
  const std::string path = PathOf(directory, record.id);
  const std::string fresh = absl::StrCat(path, ".new");
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << "{\n  \"id\": " << record.id << ",\n  \"pid\": " << record.pid
         << ",\n  \"start_time\": " << record.start_time
         << ",\n  \"kind\": " << (record.kind == DomainKind::kServer ? "\"server\"" : "\"guest\"")
         << ",\n  \"name\": \"" << absl::CEscape(record.name) << "\"\n}\n";
    file.close();
    if (file.fail())
      return absl::UnavailableError(absl::StrCat("cannot write ", fresh, ": ", strerror(errno)));
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

std::optional<DomainRecord> ReadRecord(const std::string& directory, DomainId id) {
  const std::optional<std::string> text = ReadFile(PathOf(directory, id));
  if (!text.has_value()) return std::nullopt;
  DomainRecord record;
  const std::optional<std::string> kind = Member(*text, "kind");
  std::optional<std::string> name = Member(*text, "name");
  if (!Number(*text, "id", &record.id) || record.id != id || !Number(*text, "pid", &record.pid) ||
      record.pid <= 1 || !Number(*text, "start_time", &record.start_time) || !kind.has_value() ||
      !name.has_value()) {
    return std::nullopt;
  }
  record.kind = *kind == "server" ? DomainKind::kServer : DomainKind::kGuest;
  record.name = *std::move(name);
  return record;
}

std::vector<DomainId> ListRecords(const std::string& directory) {
  std::vector<DomainId> ids;
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return ids;
  while (const dirent* entry = readdir(entries)) {
    absl::string_view name = entry->d_name;
    DomainId id;
    if (absl::ConsumeSuffix(&name, ".json") && absl::SimpleAtoi(name, &id)) ids.push_back(id);
  }
  closedir(entries);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace librettos::process
