#include "guest/platform/xen/shared_info.h"

#include "guest/platform/platform.h"
#include "guest/platform/xen/clock.h"
#include "guest/platform/xen/hypercall.h"

namespace librettos::xen {
namespace {

constinit shared_info* page = nullptr;

}  // namespace

bool PlaceXenPage(unsigned space, uint64_t index, PhysicalAddress physical) {
  xen_add_to_physmap request = {};
  request.domid = DOMID_SELF;
  request.space = space;
  request.idx = index;
  request.gpfn = physical / kPageSize;
  return MemoryOp(XENMEM_add_to_physmap, &request) == 0;
}

void* MapSharedPage(PhysicalAddress physical) {
  void* address = ReserveVirtual(kPageSize);
  if (!address || !MapPage(address, physical, Access::kWritable).ok()) {
    Panic("no memory to map a page shared with Xen");
  }
  return address;
}

void InitSharedInfo() {
  const PhysicalAddress physical = ReservePhysical(1);
  if (physical == 0 || !PlaceXenPage(XENMAPSPACE_shared_info, 0, physical)) Panic("no shared_info page");
  page = static_cast<shared_info*>(MapSharedPage(physical));
  SetClockPage(0, &page->vcpu_info[0].time);
}

shared_info* SharedInfo() { return page; }

}  // namespace librettos::xen
