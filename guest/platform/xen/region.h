// Memory of this domain that it grants to others, with the directories that name its pages' grants.
//
// What is revoked and still mapped by its peer is kept as it is, pages and grant entries, until the peer lets
// go or dies: no page of a region is used for anything else before. Loop thread only.
#pragma once

#include <memory>
#include <vector>

#include "guest/platform/xen/grant_directory.h"
#include "guest/platform/xen/grants.h"

namespace librettos::xen {

class XenRegion;

class Regions {
 public:
  explicit Regions(GrantTable& grants) : grants_(grants) {}
  Result<Region*> Allocate(size_t bytes);

 private:
  friend class XenRegion;
  // One GrantTo.
  struct Granted {
    GrantRef ref;                // The first directory page's.
    std::vector<GrantRef> refs;  // Of pages and directory pages: not yet free entries.
    GrantDirectoryPage* directory;
    size_t directory_pages;
    XenRegion* region;
  };
  // Frees what peers have let go of.
  void Collect();
  void Retire(std::unique_ptr<Granted> granted);

  GrantTable& grants_;
  std::vector<std::unique_ptr<Granted>> retired_;
};

class XenRegion final : public Region {
 public:
  XenRegion(Regions& regions, std::span<std::byte> bytes) : regions_(regions), bytes_(bytes) {}
  std::span<std::byte> bytes() override { return bytes_; }
  Result<GrantRef> GrantTo(DomainId peer, bool writable) override;
  void Revoke(GrantRef ref) override;
  void Release() override;

 private:
  friend class Regions;
  Status GrantPages(Regions::Granted& granted, DomainId peer, bool writable);
  void DeleteIfUnused();

  Regions& regions_;
  std::span<std::byte> bytes_;
  std::vector<std::unique_ptr<Regions::Granted>> granted_;
  size_t retired_ = 0;  // Grants whose pages a peer has mapped still.
  bool released_ = false;
};

}  // namespace librettos::xen
