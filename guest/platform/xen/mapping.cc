#include "guest/platform/xen/mapping.h"

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "guest/platform/xen/grant_directory.h"
#include "guest/platform/xen/hypercall.h"

namespace librettos::xen {
namespace {

constexpr size_t kBatch = 64;  // Grants per hypercall.
constexpr size_t kMaxPages = size_t{1} << 20;

class XenMapping final : public Mapping {
 public:
  std::span<std::byte> bytes() override { return {window.address(), size}; }
  void Unmap() override { delete this; }
  GrantWindow window;
  size_t size = 0;
};

Error ToError(int16_t status) {
  switch (status) {
    case GNTST_bad_gntref:
    case GNTST_bad_domain:
      return Error::kNotFound;
    case GNTST_no_device_space:
    case GNTST_no_space:
      return Error::kExhausted;
    default:
      return Error::kPermission;
  }
}

// Reads the directory, page after page, through a window of one page.
Status ReadDirectory(DomainId owner, GrantRef first, std::span<GrantRef> refs) {
  GrantWindow window;
  if (Status opened = window.Open(1); !opened.ok()) return opened;
  GrantDirectoryReader reader(refs);
  for (GrantRef next = first; next != 0;) {
    const Status mapped = window.Map(owner, {&next, 1}, false);
    // Only for the first one it is the caller's reference that is wrong.
    if (!mapped.ok()) return next == first ? mapped : Status(Error::kProtocol);
    auto taken = reader.Take(reinterpret_cast<const GrantDirectoryPage*>(window.address()));
    window.Unmap();
    if (!taken.ok()) return taken.error();
    next = *taken;
  }
  return Status();
}

}  // namespace

Status GrantWindow::Open(size_t pages) {
  handles_ = new (std::nothrow) grant_handle_t[pages];
  address_ = static_cast<std::byte*>(ReserveVirtual(pages * kPageSize));
  physical_ = ReservePhysical(pages);
  pages_ = pages;
  if (handles_ && address_ && physical_) return Status();
  Close();
  return Error::kExhausted;
}

void GrantWindow::Close() {
  Unmap();
  delete[] handles_;
  if (address_) ReleaseVirtual(address_, pages_ * kPageSize);
  if (physical_) ReleasePhysical(physical_, pages_);
  handles_ = nullptr;
  address_ = nullptr;
  physical_ = 0;
  pages_ = 0;
}

Status GrantWindow::Map(DomainId owner, std::span<const GrantRef> refs, bool writable) {
  if (owner >= DOMID_FIRST_RESERVED || refs.size() > pages_) return Error::kInvalidArgument;
  std::array<gnttab_map_grant_ref_t, kBatch> operations;
  Error failed = Error::kOk;
  for (size_t done = 0; done < refs.size() && failed == Error::kOk;) {
    const size_t count = std::min(kBatch, refs.size() - done);
    for (size_t i = 0; i < count; ++i) {
      operations[i] = {};
      operations[i].host_addr = physical_ + (done + i) * kPageSize;
      operations[i].flags = GNTMAP_host_map | (writable ? 0 : GNTMAP_readonly);
      operations[i].ref = refs[done + i];
      operations[i].dom = static_cast<domid_t>(owner);
      operations[i].status = GNTST_general_error;
    }
    if (GrantTableOp(GNTTABOP_map_grant_ref, operations.data(), static_cast<unsigned>(count)) != 0) {
      Panic("Xen refuses to map grants");
    }
    for (size_t i = 0; i < count; ++i, ++done) {
      if (operations[i].status == GNTST_okay && failed == Error::kOk &&
          MapPage(address_ + done * kPageSize, physical_ + done * kPageSize,
                  writable ? Access::kWritable : Access::kReadOnly)
              .ok()) {
        handles_[mapped_++] = operations[i].handle;
        continue;
      }
      if (failed == Error::kOk) {
        failed = operations[i].status == GNTST_okay ? Error::kExhausted : ToError(operations[i].status);
      }
      if (operations[i].status == GNTST_okay) {
        // Without an entry of ours: taken back at once.
        gnttab_unmap_grant_ref_t unmap = {};
        unmap.host_addr = operations[i].host_addr;
        unmap.handle = operations[i].handle;
        GrantTableOp(GNTTABOP_unmap_grant_ref, &unmap, 1);
      }
    }
  }
  if (failed != Error::kOk) Unmap();
  return failed;
}

void GrantWindow::Unmap() {
  std::array<gnttab_unmap_grant_ref_t, kBatch> operations;
  for (size_t done = 0; done < mapped_;) {
    const size_t count = std::min(kBatch, mapped_ - done);
    for (size_t i = 0; i < count; ++i) {
      UnmapPage(address_ + (done + i) * kPageSize);
      operations[i] = {};
      operations[i].host_addr = physical_ + (done + i) * kPageSize;
      operations[i].handle = handles_[done + i];
    }
    GrantTableOp(GNTTABOP_unmap_grant_ref, operations.data(), static_cast<unsigned>(count));
    // Whatever is not unmapped would be found by whoever gets the addresses next.
    for (size_t i = 0; i < count; ++i) {
      if (operations[i].status != GNTST_okay) Panic("a granted page cannot be unmapped");
    }
    done += count;
  }
  mapped_ = 0;
}

Result<Mapping*> MapRegion(DomainId owner, GrantRef ref, size_t bytes, bool writable) {
  const size_t pages = (bytes + kPageSize - 1) / kPageSize;
  if (pages == 0 || pages > kMaxPages || ref == 0) return Error::kInvalidArgument;
  std::unique_ptr<GrantRef[]> refs(new (std::nothrow) GrantRef[pages]);
  std::unique_ptr<XenMapping> mapping(new (std::nothrow) XenMapping);
  if (!refs || !mapping) return Error::kExhausted;
  Status status = ReadDirectory(owner, ref, {refs.get(), pages});
  if (status.ok()) status = mapping->window.Open(pages);
  if (!status.ok()) return status.error();
  status = mapping->window.Map(owner, {refs.get(), pages}, writable);
  if (!status.ok()) return status.error() == Error::kExhausted ? Error::kExhausted : Error::kProtocol;
  mapping->size = bytes;
  return static_cast<Mapping*>(mapping.release());
}

}  // namespace librettos::xen
