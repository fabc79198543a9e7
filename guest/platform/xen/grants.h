// The domain's grant table (xen/include/public/grant_table.h, version 1): who may map which of its pages.
//
// Grows by frames as needed, up to what Xen allows. Loop thread only.
#pragma once

#include <vector>

#include "guest/platform/platform.h"
#include "guest/platform/xen/abi.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {

class GrantTable {
 public:
  // InitSharedInfo before. Without a table everything is kExhausted.
  void Init();

  // Lets `peer` map the page at `page`.
  Result<GrantRef> Grant(DomainId peer, PhysicalAddress page, bool writable);
  // From now on nobody maps the page anew; who has it mapped keeps it.
  void End(GrantRef ref);
  // Gives an ended entry back unless the peer has the page mapped still; true: done.
  bool Free(GrantRef ref);

 private:
  bool Grow();

  grant_entry_v1_t* entries_ = nullptr;
  PhysicalAddress frames_at_ = 0;
  uint32_t frames_ = 0, max_frames_ = 0;
  std::vector<GrantRef> free_;
};

}  // namespace librettos::xen
