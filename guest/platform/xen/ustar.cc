#include "guest/platform/xen/ustar.h"

#include <algorithm>
#include <cstring>

namespace librettos::xen {
namespace {

constexpr uint64_t kBlock = 512;

// One header block.
struct Header {
  char name[100];
  char mode[8], uid[8], gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6], version[2];
  char user[32], group[32], major[8], minor[8];
  char prefix[155];
  char rest[12];
};
static_assert(sizeof(Header) == kBlock);

template <size_t kSize>
std::string_view Text(const char (&field)[kSize]) {
  return {field, strnlen(field, kSize)};
}

// Octal digits between spaces or NULs; false for anything else (such as GNU's base-256 numbers).
bool Number(std::string_view field, uint64_t* number) {
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == 0)) field.remove_suffix(1);
  if (field.empty()) return false;
  *number = 0;
  for (const char digit : field) {
    if (digit < '0' || digit > '7') return false;
    *number = *number << 3 | static_cast<uint64_t>(digit - '0');  // At most 12 digits: 36 bits.
  }
  return true;
}

bool ChecksumIsRight(const Header& header) {
  uint64_t expected;
  if (!Number({header.checksum, sizeof(header.checksum)}, &expected)) return false;
  uint64_t sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  const size_t begin = offsetof(Header, checksum), end = begin + sizeof(header.checksum);
  for (size_t i = 0; i < kBlock; ++i) sum += i >= begin && i < end ? ' ' : bytes[i];
  return sum == expected;
}

// The path without "./" and "/" around it; false: it leads out of the archive's root, or is none.
bool Normalise(std::string_view path, std::string* out) {
  out->clear();
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part == "..") return false;
    if (!out->empty()) *out += '/';
    *out += part;
  }
  return true;
}

}  // namespace

Status Ustar::Index(ByteSource* source) {
  source_ = source;
  const Status read = ReadEntries();
  Sort();
  return read;
}

Status Ustar::ReadEntries() {
  const uint64_t end = source_->size() / kBlock * kBlock;
  for (uint64_t at = 0; at < end;) {
    Header header;
    Status status = source_->Read(at, std::as_writable_bytes(std::span(&header, 1)));
    if (!status.ok()) return status;
    at += kBlock;
    if (header.name[0] == 0) return Status();  // The blocks of zeros at the end.
    uint64_t size;
    if (Text(header.magic) != "ustar" || !ChecksumIsRight(header) ||
        !Number({header.size, sizeof(header.size)}, &size) || size > end - at) {
      return Error::kProtocol;
    }
    const uint64_t offset = at;
    at += (size + kBlock - 1) / kBlock * kBlock;
    const bool directory = header.type == '5';
    if (!directory && header.type != '0' && header.type != 0) continue;
    std::string path(Text(header.prefix));
    if (!path.empty()) path += '/';
    path += Text(header.name);
    std::string normal;
    if (!Normalise(path, &normal) || normal.empty()) continue;
    if (entries_.size() >= kMaxEntries) return Error::kExhausted;
    entries_.push_back({std::move(normal), offset, {directory ? 0 : size, directory}});
  }
  return Error::kProtocol;
}

void Ustar::Sort() {
  // Of several with one path the last one counts, as when unpacking.
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.path != b.path ? a.path < b.path : a.offset > b.offset;
  });
  entries_.erase(std::unique(entries_.begin(), entries_.end(),
                             [](const Entry& a, const Entry& b) { return a.path == b.path; }),
                 entries_.end());
}

const Ustar::Entry* Ustar::Find(std::string_view path) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), path,
                                      [](const Entry& entry, std::string_view p) { return entry.path < p; });
  return found == entries_.end() || found->path != path ? nullptr : &*found;
}

std::vector<Ustar::Entry>::const_iterator Ustar::Below(std::string_view directory) const {
  if (directory.empty()) return entries_.begin();
  std::string prefix(directory);
  prefix += '/';
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), prefix,
                       [](const Entry& entry, const std::string& p) { return entry.path < p; });
  return found == entries_.end() || !found->path.starts_with(prefix) ? entries_.end() : found;
}

Result<int> Ustar::Open(std::string_view path, FileInfo* info) {
  std::string normal;
  if (!Normalise(path, &normal)) return Error::kPermission;
  Handle opened = {.open = true};
  if (const Entry* entry = Find(normal)) {
    opened.directory = entry->info.directory;
    opened.offset = entry->offset;
    opened.size = entry->info.size;
  } else if (source_ && (normal.empty() || Below(normal) != entries_.end())) {
    opened.directory = true;
  } else {
    return Error::kNotFound;
  }
  size_t handle = 0;
  while (handle < handles_.size() && handles_[handle].open) ++handle;
  if (handle == kMaxOpen) return Error::kExhausted;
  if (handle == handles_.size()) handles_.emplace_back();
  handles_[handle] = opened;
  if (info) *info = {opened.size, opened.directory};
  return static_cast<int>(handle);
}

Result<size_t> Ustar::ReadAt(int handle, uint64_t offset, std::span<std::byte> out) {
  if (handle < 0 || static_cast<size_t>(handle) >= handles_.size()) return Error::kInvalidArgument;
  const Handle& file = handles_[handle];
  if (!file.open || file.directory) return Error::kInvalidArgument;
  if (offset >= file.size) return size_t{0};
  const size_t bytes = static_cast<size_t>(std::min<uint64_t>(out.size(), file.size - offset));
  if (bytes == 0) return size_t{0};
  const Status status = source_->Read(file.offset + offset, out.first(bytes));
  if (!status.ok()) return status.error();
  return bytes;
}

void Ustar::Close(int handle) {
  if (handle >= 0 && static_cast<size_t>(handle) < handles_.size()) handles_[handle].open = false;
}

Status Ustar::List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
                   void* context) {
  std::string normal;
  if (!Normalise(path, &normal)) return Error::kPermission;
  const Entry* directory = Find(normal);
  if (directory && !directory->info.directory) return Error::kNotFound;
  const auto begin = Below(normal);
  if (!directory && begin == entries_.end() && !(source_ && normal.empty())) return Error::kNotFound;
  const size_t skip = normal.empty() ? 0 : normal.size() + 1;
  // A directory without an entry of its own is told once, by the first entry below it; what is below one name
  // stands together.
  std::string_view last;
  for (auto it = begin; it != entries_.end(); ++it) {
    const std::string_view below = it->path;
    if (skip && (!below.starts_with(normal) || below.size() <= skip || below[skip - 1] != '/')) break;
    const std::string_view rest = below.substr(skip);
    const std::string_view name = rest.substr(0, rest.find('/'));
    if (name.size() == rest.size()) {
      entry(context, name, it->info);
    } else if (name != last) {
      last = name;
      if (!Find(below.substr(0, skip + name.size()))) entry(context, name, {0, true});
    }
  }
  return Status();
}

}  // namespace librettos::xen
