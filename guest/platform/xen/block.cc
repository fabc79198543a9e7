#include "guest/platform/xen/block.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace librettos::xen {
namespace {

constexpr Nanoseconds kSecond = 1000000000;
constexpr Nanoseconds kPatience = 30 * kSecond;
constexpr uint32_t kRingEntries = 32;  // As many as fit, a power of two; see below.
static_assert(sizeof(blkif_sring_t) + (kRingEntries - 1) * sizeof(blkif_sring_entry) <= kPageSize);
static_assert(sizeof(blkif_sring_t) + (2 * kRingEntries - 1) * sizeof(blkif_sring_entry) > kPageSize);
// xen/include/public/io/xenbus.h.
constexpr std::string_view kInitialised = "3", kConnected = "4";

uint64_t Number(const std::optional<std::string>& text) {
  uint64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

}  // namespace

Result<BlockDevice*> BlockDevice::Connect(Xenbus& xenbus, Events& events, GrantTable& grants) {
  uint64_t lowest = 0;
  for (const std::string& name : xenbus.List("device/vbd")) {
    const uint64_t number = Number(name);
    if (number != 0 && (lowest == 0 || number < lowest)) lowest = number;
  }
  if (lowest == 0) return Error::kNotFound;
  // Not deleted if it fails: the back end may know of its pages.
  auto* device = new BlockDevice(events);
  const Status opened = device->Open(xenbus, grants, "device/vbd/" + std::to_string(lowest));
  if (!opened.ok()) return opened.error();
  return device;
}

Status BlockDevice::Open(Xenbus& xenbus, GrantTable& grants, const std::string& frontend) {
  const DomainId owner = static_cast<DomainId>(Number(xenbus.Read(frontend + "/backend-id")));
  const std::string backend = xenbus.Read(frontend + "/backend").value_or("");
  ring_ = static_cast<blkif_sring_t*>(AllocatePages(1));
  buffer_ = static_cast<std::byte*>(AllocatePages(kBufferPages));
  if (!ring_ || !buffer_) return Error::kExhausted;
  ring_->req_event = ring_->rsp_event = 1;
  auto ring_ref = grants.Grant(owner, PhysicalOf(ring_), true);
  auto port = events_.AllocateUnbound(owner);
  if (!ring_ref.ok() || !port.ok()) return Error::kExhausted;
  port_ = *port;
  for (size_t i = 0; i < kBufferPages; ++i) {
    auto ref = grants.Grant(owner, PhysicalOf(buffer_ + i * kPageSize), true);
    if (!ref.ok()) return ref.error();
    buffer_refs_[i] = *ref;
  }
  const std::pair<const char*, std::string> keys[] = {{"/ring-ref", std::to_string(*ring_ref)},
                                                      {"/event-channel", std::to_string(port_)},
                                                      {"/protocol", XEN_IO_PROTO_ABI_X86_64},
                                                      {"/state", std::string(kInitialised)}};
  for (const auto& [key, value] : keys) {
    if (Status written = xenbus.Write(frontend + key, value); !written.ok()) return written;
  }
  if (!xenbus.AwaitValue(backend + "/state", kConnected, Now() + kPatience)) return Error::kTimeout;
  if (Number(xenbus.Read(backend + "/sector-size")) != kSector) return Error::kUnsupported;
  // Bounded, so that no offset overflows.
  size_ = std::min(Number(xenbus.Read(backend + "/sectors")), uint64_t{1} << 50) * kSector;
  return xenbus.Write(frontend + "/state", kConnected);
}

Status BlockDevice::Read(uint64_t offset, std::span<std::byte> out) {
  if (offset > size_ || out.size() > size_ - offset) return Error::kInvalidArgument;
  while (!out.empty()) {
    if (offset < cached_begin_ || offset >= cached_end_) {
      const Status filled = Fill(offset / kSector * kSector);
      if (!filled.ok()) return filled;
    }
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(out.size(), cached_end_ - offset));
    std::memcpy(out.data(), buffer_ + (offset - cached_begin_), bytes);
    out = out.subspan(bytes);
    offset += bytes;
  }
  return Status();
}

Status BlockDevice::Fill(uint64_t offset) {
  if (broken_) return Error::kIo;
  const size_t bytes = static_cast<size_t>(std::min<uint64_t>(kBufferBytes, size_ - offset));
  cached_begin_ = cached_end_ = 0;
  Request(offset, bytes);
  const Status answered = AwaitResponse();
  if (!answered.ok()) return answered;
  cached_begin_ = offset;
  cached_end_ = offset + bytes;
  return Status();
}

void BlockDevice::Request(uint64_t offset, size_t bytes) {
  blkif_request_t request = {};
  request.operation = BLKIF_OP_READ;
  request.id = requests_;
  request.sector_number = offset / kSector;
  for (size_t done = 0; done < bytes; done += kPageSize) {
    const size_t sectors = std::min(kPageSize, bytes - done) / kSector;
    request.seg[request.nr_segments] = {buffer_refs_[request.nr_segments], 0,
                                        static_cast<uint8_t>(sectors - 1)};
    ++request.nr_segments;
  }
  ring_->ring[requests_ % kRingEntries].req = request;
  ++requests_;
  __atomic_store_n(&ring_->rsp_event, requests_, __ATOMIC_RELAXED);
  // Release: the request is there before the index says so.
  __atomic_store_n(&ring_->req_prod, requests_, __ATOMIC_RELEASE);
  Events::Send(port_);
}

Status BlockDevice::AwaitResponse() {
  const Nanoseconds deadline = Now() + kPatience;
  for (;;) {
    // Acquire: the response, and the data before it.
    const uint32_t produced = __atomic_load_n(&ring_->rsp_prod, __ATOMIC_ACQUIRE);
    if (produced == requests_) break;
    if (produced != requests_ - 1) return Break("the disk's ring holds nonsense; no more files");
    if (Now() >= deadline) return Break("the disk does not answer; no more files");
    events_.Await(port_, deadline);
  }
  const blkif_response_t response = ring_->ring[(requests_ - 1) % kRingEntries].rsp;
  if (response.id != requests_ - 1) return Break("the disk answered what was not asked; no more files");
  return response.status == BLKIF_RSP_OKAY ? Status() : Status(Error::kIo);
}

Status BlockDevice::Break(std::string_view why) {
  Log(why);
  broken_ = true;
  return Error::kIo;
}

}  // namespace librettos::xen
