#include "hypervisor/process/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"

namespace librettos::process {
namespace {

template <class Table>
auto RangeOf(Table& table, DomainId domain) {
  return std::make_pair(table.lower_bound({domain, 0}), table.upper_bound({domain, UINT32_MAX}));
}

template <class Table>
size_t CountOf(const Table& table, DomainId domain) {
  const auto [begin, end] = RangeOf(table, domain);
  return std::distance(begin, end);
}

std::string LinkOf(int descriptor) { return absl::StrCat("/proc/self/fd/", descriptor); }

absl::StatusOr<uint64_t> CheckMemory(int descriptor) {
  const int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return absl::InvalidArgumentError("granted descriptor is not a memfd sealed against shrinking");
  }
  // Huge pages are refused: a fault on one can fail for want of a page, and would kill the peer.
  struct statfs filesystem;
  if (fstatfs(descriptor, &filesystem) != 0 || filesystem.f_type != TMPFS_MAGIC) {
    return absl::InvalidArgumentError("granted memory is not ordinary shared memory");
  }
  struct stat status;
  if (fstat(descriptor, &status) != 0 || status.st_size <= 0 || status.st_size % 4096 != 0 ||
      static_cast<uint64_t>(status.st_size) > kMaxGrantBytes) {
    return absl::InvalidArgumentError("granted memory is empty, not whole pages, or more than 1 GiB");
  }
  return static_cast<uint64_t>(status.st_size);
}

absl::Status CheckDoorbell(int descriptor) {
  char link[64] = {};
  const ssize_t length = readlink(LinkOf(descriptor).c_str(), link, sizeof(link) - 1);
  if (length < 0 || strcmp(link, "anon_inode:[eventfd]") != 0) {
    return absl::InvalidArgumentError("offered doorbell is not an eventfd");
  }
  // A peer that signals must never block on a full counter.
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) {
    return absl::InvalidArgumentError("offered doorbell cannot be made non-blocking");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Grants::Grant(DomainId owner, uint32_t ref, DomainId peer, bool writable,
                           SharedDescriptor memory) {
  if (ref == 0 || peer == owner) return absl::InvalidArgumentError("grant with reference 0 or to its owner");
  absl::StatusOr<uint64_t> bytes = CheckMemory(memory->get());
  if (!bytes.ok()) return bytes.status();
  auto found = memory_.find({owner, ref});
  if (found == memory_.end() && CountOf(memory_, owner) >= kMaxGrants) {
    return absl::ResourceExhaustedError(
        absl::StrCat("domain ", owner, " has ", kMaxGrants, " grants, its quota"));
  }
  memory_[{owner, ref}] = {peer, writable, false, {std::move(memory), *bytes}};
  return absl::OkStatus();
}

void Grants::Revoke(DomainId owner, uint32_t ref) { memory_.erase({owner, ref}); }

absl::StatusOr<Grants::Memory> Grants::Map(DomainId mapper, DomainId owner, uint32_t ref,
                                           bool writable) const {
  auto found = memory_.find({owner, ref});
  if (found == memory_.end())
    return absl::NotFoundError(absl::StrCat("domain ", owner, " has no grant ", ref));
  const MemoryEntry& entry = found->second;
  if (entry.peer != mapper || (writable && !entry.writable)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "grant ", ref, " of domain ", owner, " is not for domain ", mapper, writable ? " to write" : ""));
  }
  if (writable) return entry.memory;
  // A descriptor of its own: the one declared could be mapped for writing.
  Descriptor read_only(open(LinkOf(entry.memory.descriptor->get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!read_only.valid())
    return absl::UnavailableError(absl::StrCat("cannot reopen memory: ", strerror(errno)));
  return Memory{std::make_shared<Descriptor>(std::move(read_only)), entry.memory.bytes};
}

absl::Status Grants::Offer(DomainId owner, uint32_t port, DomainId peer, Doorbell doorbell) {
  if (port == 0 || peer == owner) return absl::InvalidArgumentError("event port 0 or offered to its owner");
  for (const SharedDescriptor& descriptor : doorbell) {
    if (absl::Status checked = CheckDoorbell(descriptor->get()); !checked.ok()) return checked;
  }
  if (ports_.count({owner, port}) == 0 && CountOf(ports_, owner) >= kMaxPorts) {
    return absl::ResourceExhaustedError(
        absl::StrCat("domain ", owner, " has ", kMaxPorts, " ports, its quota"));
  }
  ports_[{owner, port}] = {peer, false, std::move(doorbell)};
  return absl::OkStatus();
}

void Grants::ClosePort(DomainId owner, uint32_t port) { ports_.erase({owner, port}); }

absl::StatusOr<Grants::Doorbell> Grants::Bind(DomainId binder, DomainId owner, uint32_t port) const {
  auto found = ports_.find({owner, port});
  if (found == ports_.end())
    return absl::NotFoundError(absl::StrCat("domain ", owner, " has no port ", port));
  if (found->second.peer != binder) {
    return absl::PermissionDeniedError(
        absl::StrCat("port ", port, " of domain ", owner, " is not for domain ", binder));
  }
  return found->second.doorbell;
}

void Grants::BeginDeclaration(DomainId domain) {
  for (auto [at, end] = RangeOf(memory_, domain); at != end; ++at) at->second.stale = true;
  for (auto [at, end] = RangeOf(ports_, domain); at != end; ++at) at->second.stale = true;
}

void Grants::EndDeclaration(DomainId domain) {
  for (auto [at, end] = RangeOf(memory_, domain); at != end;)
    at = at->second.stale ? memory_.erase(at) : std::next(at);
  for (auto [at, end] = RangeOf(ports_, domain); at != end;)
    at = at->second.stale ? ports_.erase(at) : std::next(at);
}

void Grants::DropDomain(DomainId domain) {
  const auto memory = RangeOf(memory_, domain);
  memory_.erase(memory.first, memory.second);
  const auto ports = RangeOf(ports_, domain);
  ports_.erase(ports.first, ports.second);
}

}  // namespace librettos::process
