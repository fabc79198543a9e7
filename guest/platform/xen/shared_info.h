// The page that Xen shares with the domain (struct shared_info), and other pages of its.
#pragma once

#include "guest/platform/xen/abi.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {

// Maps the page, and has Now() read the first CPU's time from it. Called once, from RunDomain. Panics if Xen
// refuses.
void InitSharedInfo();
// Xen writes it at any time.
shared_info* SharedInfo();

// Maps a page that Xen or another domain placed at `physical`. Panics if there is no memory for it: only for
// the few pages of a domain's start.
void* MapSharedPage(PhysicalAddress physical);
// Has Xen place page `index` of one of its spaces (XENMEM_add_to_physmap) at `physical`.
bool PlaceXenPage(unsigned space, uint64_t index, PhysicalAddress physical);

}  // namespace librettos::xen
