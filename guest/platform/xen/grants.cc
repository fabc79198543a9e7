#include "guest/platform/xen/grants.h"

#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/shared_info.h"

namespace librettos::xen {
namespace {

constexpr uint32_t kEntriesPerFrame = kPageSize / sizeof(grant_entry_v1_t);

}  // namespace

void GrantTable::Init() {
  gnttab_query_size_t size = {};
  size.dom = DOMID_SELF;
  if (GrantTableOp(GNTTABOP_query_size, &size, 1) != 0 || size.status != GNTST_okay) return;
  frames_at_ = ReservePhysical(size.max_nr_frames);
  entries_ = static_cast<grant_entry_v1_t*>(ReserveVirtual(size.max_nr_frames * kPageSize));
  if (frames_at_ != 0 && entries_) max_frames_ = size.max_nr_frames;
}

bool GrantTable::Grow() {
  if (frames_ == max_frames_) return false;
  const size_t offset = frames_ * kPageSize;
  if (!PlaceXenPage(XENMAPSPACE_grant_table, frames_, frames_at_ + offset)) return false;
  if (!MapPage(reinterpret_cast<std::byte*>(entries_) + offset, frames_at_ + offset, Access::kWritable)
           .ok()) {
    return false;
  }
  const uint32_t first = frames_ == 0 ? GNTTAB_NR_RESERVED_ENTRIES : frames_ * kEntriesPerFrame;
  ++frames_;
  free_.reserve(frames_ * kEntriesPerFrame);
  for (uint32_t ref = frames_ * kEntriesPerFrame - 1; ref >= first; --ref) free_.push_back(ref);
  return true;
}

Result<GrantRef> GrantTable::Grant(DomainId peer, PhysicalAddress page, bool writable) {
  if (peer >= DOMID_FIRST_RESERVED) return Error::kInvalidArgument;
  if (free_.empty() && !Grow()) return Error::kExhausted;
  const GrantRef ref = free_.back();
  free_.pop_back();
  grant_entry_v1_t& entry = entries_[ref];
  entry.domid = static_cast<domid_t>(peer);
  entry.frame = static_cast<uint32_t>(page / kPageSize);
  // Release: whoever sees the permission sees what it is for.
  __atomic_store_n(&entry.flags, static_cast<uint16_t>(GTF_permit_access | (writable ? 0 : GTF_readonly)),
                   __ATOMIC_RELEASE);
  return ref;
}

void GrantTable::End(GrantRef ref) {
  // Xen sets and clears the two that stay, with the same locked instructions.
  __atomic_fetch_and(&entries_[ref].flags, static_cast<uint16_t>(GTF_reading | GTF_writing),
                     __ATOMIC_SEQ_CST);
}

bool GrantTable::Free(GrantRef ref) {
  // Acquire: what the peer did with the page is over.
  if (__atomic_load_n(&entries_[ref].flags, __ATOMIC_ACQUIRE) != 0) return false;
  free_.push_back(ref);
  return true;
}

}  // namespace librettos::xen
