#include "guest/platform/process/mapping.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace librettos::process {

Mappings::~Mappings() {
  for (ProcessMapping* mapping : mappings_) delete mapping;
}

void Mappings::Map(uint32_t id, DomainId owner, GrantRef ref, size_t bytes, bool writable,
                   MapObserver* observer) {
  const Pending pending{owner, ref, bytes, writable, observer};
  pending_[id] = pending;
  Request(id, pending);
}

void Mappings::Request(uint32_t id, const Pending& pending) {
  control_.Send(
      {.type = WireType::kMap, .id = id, .number = pending.ref, .a = pending.owner, .b = pending.writable});
}

void Mappings::Cancel(MapObserver* observer) {
  std::erase_if(pending_, [&](const auto& entry) { return entry.second.observer == observer; });
}

void Mappings::Redeclare() {
  for (const auto& [id, pending] : pending_) Request(id, pending);
}

void Mappings::OnReply(InMessage& message) {
  const auto found = pending_.find(message.header.id);
  if (found == pending_.end()) return;
  const Pending pending = found->second;
  pending_.erase(found);
  const auto error = static_cast<Error>(message.header.a);
  if (message.header.a > static_cast<uint32_t>(Error::kUnsupported)) {
    pending.observer->OnMapped(Error::kProtocol);
  } else if (error != Error::kOk) {
    pending.observer->OnMapped(error);
  } else {
    pending.observer->OnMapped(Accept(pending, message.descriptors[0]));
  }
}

Result<Mapping*> Mappings::Accept(const Pending& pending, const Descriptor& memory) {
  // The descriptor was made by the owner, who is hostile; only memory files know seals.
  if (!memory.valid() || pending.bytes == 0) return Error::kProtocol;
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK)) return Error::kProtocol;
  struct stat status;
  if (fstat(memory.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < 0 ||
      static_cast<uint64_t>(status.st_size) < pending.bytes) {
    return Error::kProtocol;
  }
  const size_t mapped = (pending.bytes + kPageSize - 1) / kPageSize * kPageSize;
  const int protection = PROT_READ | (pending.writable ? PROT_WRITE : 0);
  void* address = mmap(nullptr, mapped, protection, MAP_SHARED, memory.get(), 0);
  if (address == MAP_FAILED) return errno == ENOMEM ? Error::kExhausted : Error::kPermission;
  mappings_.push_back(new ProcessMapping(*this, {static_cast<std::byte*>(address), pending.bytes}, mapped));
  return static_cast<Mapping*>(mappings_.back());
}

ProcessMapping::~ProcessMapping() { munmap(bytes_.data(), mapped_); }

void ProcessMapping::Unmap() {
  std::erase(mappings_.mappings_, this);
  delete this;
}

}  // namespace librettos::process
