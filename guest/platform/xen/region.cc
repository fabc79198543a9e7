#include "guest/platform/xen/region.h"

#include <algorithm>
#include <new>

namespace librettos::xen {

Result<Region*> Regions::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > size_t{1} << 40) return Error::kInvalidArgument;
  Collect();
  const size_t pages = (bytes + kPageSize - 1) / kPageSize;
  auto* memory = static_cast<std::byte*>(AllocatePages(pages));
  if (!memory) return Error::kExhausted;
  return static_cast<Region*>(new XenRegion(*this, {memory, pages * kPageSize}));
}

void Regions::Retire(std::unique_ptr<Granted> granted) {
  for (const GrantRef ref : granted->refs) grants_.End(ref);
  ++granted->region->retired_;
  retired_.push_back(std::move(granted));
}

void Regions::Collect() {
  for (size_t i = 0; i < retired_.size();) {
    Granted& granted = *retired_[i];
    std::erase_if(granted.refs, [&](GrantRef ref) { return grants_.Free(ref); });
    if (!granted.refs.empty()) {
      ++i;
      continue;
    }
    FreePages(granted.directory, granted.directory_pages);
    XenRegion* region = granted.region;
    --region->retired_;
    retired_.erase(retired_.begin() + static_cast<ptrdiff_t>(i));
    region->DeleteIfUnused();
  }
}

Result<GrantRef> XenRegion::GrantTo(DomainId peer, bool writable) {
  regions_.Collect();
  auto granted = std::make_unique<Regions::Granted>();
  granted->region = this;
  granted->directory_pages = GrantDirectoryPages(bytes_.size() / kPageSize);
  granted->directory = static_cast<GrantDirectoryPage*>(AllocatePages(granted->directory_pages));
  if (!granted->directory) return Error::kExhausted;
  const Status status = GrantPages(*granted, peer, writable);
  if (!status.ok()) {
    regions_.Retire(std::move(granted));
    regions_.Collect();
    return status.error();
  }
  granted_.push_back(std::move(granted));
  return granted_.back()->ref;
}

Status XenRegion::GrantPages(Regions::Granted& granted, DomainId peer, bool writable) {
  const size_t pages = bytes_.size() / kPageSize;
  granted.refs.reserve(pages + granted.directory_pages);
  for (size_t i = 0; i < pages + granted.directory_pages; ++i) {
    const bool page = i < pages;
    const void* address =
        page ? static_cast<const void*>(&bytes_[i * kPageSize]) : &granted.directory[i - pages];
    auto ref = regions_.grants_.Grant(peer, PhysicalOf(address), page && writable);
    if (!ref.ok()) return ref.error();
    granted.refs.push_back(*ref);
  }
  const std::span<const GrantRef> refs = granted.refs;
  granted.ref = refs[pages];
  WriteGrantDirectory({granted.directory, granted.directory_pages}, refs.subspan(pages), refs.first(pages));
  return Status();
}

void XenRegion::Revoke(GrantRef ref) {
  const auto found = std::find_if(granted_.begin(), granted_.end(),
                                  [&](const auto& granted) { return granted->ref == ref; });
  if (found == granted_.end()) return;
  regions_.Retire(std::move(*found));
  granted_.erase(found);
  regions_.Collect();
}

void XenRegion::Release() {
  for (auto& granted : granted_) regions_.Retire(std::move(granted));
  granted_.clear();
  released_ = true;
  if (retired_ == 0) {
    DeleteIfUnused();
  } else {
    regions_.Collect();
  }
}

void XenRegion::DeleteIfUnused() {
  if (!released_ || retired_ > 0) return;
  FreePages(bytes_.data(), bytes_.size() / kPageSize);
  delete this;
}

}  // namespace librettos::xen
