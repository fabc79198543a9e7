#include "guest/platform/process/region.h"

#include <errno.h>
#include <sys/mman.h>

namespace librettos::process {

Regions::~Regions() {
  for (ProcessRegion* region : regions_) delete region;
}

Result<Region*> Regions::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > size_t{1} << 40) return Error::kInvalidArgument;
  const size_t size = (bytes + kPageSize - 1) / kPageSize * kPageSize;
  Descriptor memory(memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return Error::kExhausted;
  if (ftruncate(memory.get(), static_cast<off_t>(size)) != 0) return Error::kExhausted;
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return Error::kIo;
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (address == MAP_FAILED) return Error::kExhausted;
  regions_.push_back(new ProcessRegion(*this, std::move(memory), {static_cast<std::byte*>(address), size}));
  return static_cast<Region*>(regions_.back());
}

void Regions::Redeclare() {
  for (ProcessRegion* region : regions_) region->Redeclare();
}

ProcessRegion::~ProcessRegion() { munmap(bytes_.data(), bytes_.size()); }

Result<GrantRef> ProcessRegion::GrantTo(DomainId peer, bool writable) {
  const Use use = writable ? Use::kWritable : Use::kReadOnly;
  if (use_ != Use::kUnknown && use_ != use) return Error::kUnsupported;
  if (use_ == Use::kUnknown) {
    const int seals = F_SEAL_SEAL | (writable ? 0 : F_SEAL_FUTURE_WRITE);
    if (fcntl(memory_.get(), F_ADD_SEALS, seals) != 0) return Error::kIo;
    use_ = use;
  }
  const GrantRef ref = regions_.next_ref_++;
  Declare(ref, grants_[ref] = {peer, writable});
  return ref;
}

void ProcessRegion::Declare(GrantRef ref, const Grant& grant) {
  regions_.control_.Send({.type = WireType::kGrant,
                          .number = ref,
                          .a = grant.peer,
                          .b = grant.writable,
                          .descriptors = {memory_.get(), -1}});
}

void ProcessRegion::Redeclare() {
  for (const auto& [ref, grant] : grants_) Declare(ref, grant);
}

void ProcessRegion::Revoke(GrantRef ref) {
  // Without a daemon there is nothing to withdraw: the next one is not told of it.
  if (grants_.erase(ref)) regions_.control_.Send({.type = WireType::kRevoke, .number = ref});
}

void ProcessRegion::Release() {
  while (!grants_.empty()) Revoke(grants_.begin()->first);
  std::erase(regions_.regions_, this);
  delete this;
}

}  // namespace librettos::process
