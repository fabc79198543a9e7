// Memory of other domains, mapped by their grants. Everything an owner says about it is checked; mapped
// memory stays as it is until Unmap(), also if the owner revokes it or dies. Loop thread only.
#pragma once

#include "guest/platform/platform.h"
#include "guest/platform/xen/abi.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {

// A range of addresses where granted pages are mapped.
class GrantWindow {
 public:
  GrantWindow() = default;
  ~GrantWindow() { Close(); }
  GrantWindow(const GrantWindow&) = delete;
  GrantWindow& operator=(const GrantWindow&) = delete;

  Status Open(size_t pages);
  // Maps `refs` of `owner` from page 0 on. Fails as a whole: nothing is mapped then. kPermission, kNotFound:
  // Xen refused one.
  Status Map(DomainId owner, std::span<const GrantRef> refs, bool writable);
  void Unmap();
  void Close();
  std::byte* address() const { return address_; }

 private:
  std::byte* address_ = nullptr;
  PhysicalAddress physical_ = 0;
  size_t pages_ = 0;
  size_t mapped_ = 0;
  grant_handle_t* handles_ = nullptr;
};

// Maps the first `bytes` of the region that the directory at `ref` describes.
Result<Mapping*> MapRegion(DomainId owner, GrantRef ref, size_t bytes, bool writable);

}  // namespace librettos::xen
