// A disk, read only: the front end of Xen's block protocol (xen/include/public/io/blkif.h).
//
// One request at a time, through a bounce buffer that also serves as a cache of what was read last. The back
// end is domain 0's; what it writes into the ring is checked, and what it wrote into the buffer is whatever
// it likes. Loop thread only; blocks.
#pragma once

#include <memory>
#include <string>

#include "guest/platform/xen/events.h"
#include "guest/platform/xen/grants.h"
#include "guest/platform/xen/ustar.h"
#include "guest/platform/xen/xenbus.h"

namespace librettos::xen {

class BlockDevice final : public ByteSource {
 public:
  // Connects to the domain's first disk, while it starts. kNotFound: there is none; kTimeout: nobody serves
  // it.
  static Result<BlockDevice*> Connect(Xenbus& xenbus, Events& events, GrantTable& grants);

  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) override;

 private:
  static constexpr size_t kSector = 512;
  static constexpr size_t kBufferPages = BLKIF_MAX_SEGMENTS_PER_REQUEST;
  static constexpr size_t kBufferBytes = kBufferPages * kPageSize;

  explicit BlockDevice(Events& events) : events_(events) {}
  Status Open(Xenbus& xenbus, GrantTable& grants, const std::string& frontend);
  // Fills the buffer from `offset`, a whole sector, with as much as fits.
  Status Fill(uint64_t offset);
  void Request(uint64_t offset, size_t bytes);
  Status AwaitResponse();
  Status Break(std::string_view why);

  Events& events_;
  uint64_t size_ = 0;
  blkif_sring_t* ring_ = nullptr;
  std::byte* buffer_ = nullptr;
  GrantRef buffer_refs_[kBufferPages] = {};
  evtchn_port_t port_ = 0;
  uint32_t requests_ = 0;  // Made so far: the ring's request index.
  uint64_t cached_begin_ = 0, cached_end_ = 0;
  bool broken_ = false;
};

}  // namespace librettos::xen
