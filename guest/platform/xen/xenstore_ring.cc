#include "guest/platform/xen/xenstore_ring.h"

#include <algorithm>
#include <cstring>

#include "guest/platform/platform.h"

namespace librettos::xen {
namespace {

// The other side's index. Acquire: what it wrote into the ring before is seen after.
uint32_t Load(const uint32_t& index) { return __atomic_load_n(&index, __ATOMIC_ACQUIRE); }
// Our index. Release: our accesses to the ring are done before the other side may use the room.
void Store(uint32_t& index, uint32_t value) { __atomic_store_n(&index, value, __ATOMIC_RELEASE); }

}  // namespace

Status XenstoreRing::Send(uint32_t type, uint32_t id, std::initializer_list<std::string_view> parts) {
  if (broken_) return Error::kProtocol;
  size_t payload = 0;
  for (const std::string_view part : parts) payload += part.size();
  if (payload > XENSTORE_PAYLOAD_MAX) return Error::kInvalidArgument;
  const size_t size = sizeof(xsd_sockmsg) + payload;
  if (kQueueBytes - queued_ < size && sent_ > 0) {
    std::memmove(queue_.data(), queue_.data() + sent_, queued_ - sent_);
    queued_ -= sent_;
    sent_ = 0;
  }
  if (kQueueBytes - queued_ < size) return Error::kAgain;
  const xsd_sockmsg header = {type, id, 0, static_cast<uint32_t>(payload)};
  char* out = queue_.data() + queued_;
  std::memcpy(out, &header, sizeof(header));
  out += sizeof(header);
  for (const std::string_view part : parts) out = std::copy(part.begin(), part.end(), out);
  queued_ += size;
  return Status();
}

bool XenstoreRing::Turn(XenstoreReceiver& receiver) {
  const bool received = Receive(receiver);
  const bool transmitted = Transmit();
  return received || transmitted;
}

bool XenstoreRing::Receive(XenstoreReceiver& receiver) {
  if (broken_) return false;
  const uint32_t produced = Load(shared_->rsp_prod);
  uint32_t consumed = shared_->rsp_cons;  // Written by this side alone; a wrong value costs the connection.
  if (produced - consumed > XENSTORE_RING_SIZE) return Break();
  if (produced == consumed) return false;
  char bytes[XENSTORE_RING_SIZE];
  const size_t size = produced - consumed;
  const size_t begin = MASK_XENSTORE_IDX(consumed);
  const size_t first = std::min<size_t>(size, XENSTORE_RING_SIZE - begin);
  std::memcpy(bytes, shared_->rsp + begin, first);
  std::memcpy(bytes + first, shared_->rsp, size - first);
  Store(shared_->rsp_cons, produced);
  Take(bytes, size, receiver);
  return true;
}

void XenstoreRing::Take(const char* bytes, size_t size, XenstoreReceiver& receiver) {
  while (size > 0 && !broken_) {
    size_t wanted = sizeof(xsd_sockmsg);
    xsd_sockmsg header{};
    if (arrived_ >= sizeof(header)) {
      std::memcpy(&header, arriving_.data(), sizeof(header));
      wanted += header.len;  // Checked when the header was complete.
    }
    const size_t taken = std::min(size, wanted - arrived_);
    std::memcpy(arriving_.data() + arrived_, bytes, taken);
    arrived_ += taken;
    bytes += taken;
    size -= taken;
    if (arrived_ < sizeof(header)) return;
    std::memcpy(&header, arriving_.data(), sizeof(header));
    if (header.len > XENSTORE_PAYLOAD_MAX) {
      Break();
      return;
    }
    if (arrived_ < sizeof(header) + header.len) continue;
    arrived_ = 0;
    receiver.OnMessage(header.type, header.req_id, {arriving_.data() + sizeof(header), header.len});
  }
}

bool XenstoreRing::Transmit() {
  if (broken_ || sent_ == queued_) return false;
  const uint32_t consumed = Load(shared_->req_cons);
  const uint32_t produced = shared_->req_prod;
  if (produced - consumed > XENSTORE_RING_SIZE) return Break();
  const size_t size = std::min<size_t>(queued_ - sent_, XENSTORE_RING_SIZE - (produced - consumed));
  if (size == 0) return false;
  const size_t begin = MASK_XENSTORE_IDX(produced);
  const size_t first = std::min<size_t>(size, XENSTORE_RING_SIZE - begin);
  std::memcpy(shared_->req + begin, queue_.data() + sent_, first);
  std::memcpy(shared_->req, queue_.data() + sent_ + first, size - first);
  Store(shared_->req_prod, produced + static_cast<uint32_t>(size));
  sent_ += size;
  if (sent_ == queued_) sent_ = queued_ = 0;
  return true;
}

bool XenstoreRing::Break() {
  broken_ = true;
  Log("xenstore: the ring holds nonsense; connection given up");
  return false;
}

}  // namespace librettos::xen
