#include "guest/channel/ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "guest/channel/checks.h"

namespace librettos::channel {
namespace {

// How many slots ahead the next frames' first lines are fetched: they come out of the other CPU's cache.
constexpr uint32_t kPrefetchSlots = 4;

// Two words of a descriptor, as they are loaded and stored. Descriptors are 16-byte aligned (layout.h).
using SharedWord [[gnu::may_alias]] = uint64_t;

// Relaxed: the acquiring load of the producer's index ordered us after the stores of an honest producer, and
// a dishonest one can store at any time. Each word is loaded once; all checks are made on the private copy.
Descriptor LoadDescriptor(const Descriptor* shared) {
  const SharedWord* words = reinterpret_cast<const SharedWord*>(shared);
  const std::array<uint64_t, 2> copy = {__atomic_load_n(&words[0], __ATOMIC_RELAXED),
                                        __atomic_load_n(&words[1], __ATOMIC_RELAXED)};
  return std::bit_cast<Descriptor>(copy);
}

// Relaxed: the releasing store of the producer's index in Publish orders it.
void StoreDescriptor(Descriptor* shared, const Descriptor& descriptor) {
  const auto copy = std::bit_cast<std::array<uint64_t, 2>>(descriptor);
  SharedWord* words = reinterpret_cast<SharedWord*>(shared);
  __atomic_store_n(&words[0], copy[0], __ATOMIC_RELAXED);
  __atomic_store_n(&words[1], copy[1], __ATOMIC_RELAXED);
}

// The peer wants an event when an index passes `event`: did it, going from `before` to `after`?
template <class Index>
bool Passed(Index event, Index before, Index after) {
  return static_cast<Index>(after - event - 1) < static_cast<Index>(after - before);
}

// Called after our index was stored. The fence orders that store before the loads of the peer's wish, as the
// fence in Arm orders the store of a wish before the load of our index: at least one side sees the other's
// store.
template <class Index>
bool WantsEvent(const SideWords& peer, Index before, Index after) {
  FullFence();
  // Relaxed: the fence above orders them. A hostile wish costs its owner a wake-up too many or too few.
  if (peer.event_wanted.load(std::memory_order_relaxed) != 1) return false;
  return Passed(static_cast<Index>(peer.event_index.load(std::memory_order_relaxed)), before, after);
}

// See WantsEvent. The caller loads the peer's index afterwards, and sleeps only if it has not passed `event`.
template <class Index>
void Arm(SideWords& own, Index event) {
  own.event_index.store(event, std::memory_order_relaxed);
  own.event_wanted.store(1, std::memory_order_relaxed);
  FullFence();
}

// Relaxed: a wish that is seen for too long costs one needless event.
void Disarm(SideWords& own) { own.event_wanted.store(0, std::memory_order_relaxed); }

// Two indices must be distinguishable at a distance of `entries`.
template <class Index>
bool Usable(const RingView& ring) {
  return ring.control && ring.descriptors && ring.slots && ring.slot_bytes >= kEthernetHeaderBytes &&
         std::has_single_bit(ring.entries) && ring.entries <= std::numeric_limits<Index>::max() / 2 + 1u;
}

}  // namespace

const char* ToString(Violation violation) {
  switch (violation) {
    case Violation::kNone:
      return "none";
    case Violation::kIndexJump:
      return "index-jump";
    case Violation::kBadSlot:
      return "bad-slot";
    case Violation::kBadLength:
      return "bad-length";
    case Violation::kBadFlags:
      return "bad-flags";
    case Violation::kBadOffload:
      return "bad-offload";
    case Violation::kEndlessChain:
      return "endless-chain";
    case Violation::kBadControl:
      return "bad-control";
    case Violation::kBadHeader:
      return "bad-header";
    case Violation::kCount:
      break;
  }
  return "unknown";
}

void Received::CopyTo(std::byte* out) const {
  std::memcpy(out, header, header_length);
  out += header_length;
  for (uint32_t i = 0; i < part_count; ++i) {
    std::memcpy(out, parts[i].data, parts[i].length);
    out += parts[i].length;
  }
}

// ---- Producer --------------------------------------------------------------------------------------------

template <class Index>
Violation Producer<Index>::Attach(const RingView& ring) {
  *this = Producer();
  if (!Usable<Index>(ring)) return violation_ = Violation::kBadHeader;
  // Relaxed: our own side's word; a predecessor of ours is dead, and whoever told us so ordered us after it.
  head_ = published_ = static_cast<Index>(ring.control->producer.index.load(std::memory_order_relaxed));
  // Acquire: as in Refresh.
  tail_ = static_cast<Index>(ring.control->consumer.index.load(std::memory_order_acquire));
  if (static_cast<Index>(head_ - tail_) > ring.entries) return violation_ = Violation::kIndexJump;
  ring_ = ring;
  Disarm(ring_.control->producer);
  return Violation::kNone;
}

template <class Index>
Violation Producer<Index>::Refresh() {
  if (violation_ != Violation::kNone || !ring_.control) return violation_;
  // Acquire: the consumer's last reads of a slot come before our reuse of it.
  const Index tail = static_cast<Index>(ring_.control->consumer.index.load(std::memory_order_acquire));
  // It can only move on, and not beyond what was published.
  if (static_cast<Index>(tail - tail_) > static_cast<Index>(published_ - tail_)) {
    return violation_ = Violation::kIndexJump;
  }
  tail_ = tail;
  return Violation::kNone;
}

template <class Index>
uint32_t Producer<Index>::Space(uint32_t needed) {
  if (violation_ != Violation::kNone) return 0;
  const uint32_t space = ring_.entries - static_cast<Index>(head_ - tail_);
  if (space >= needed) return space;
  if (Refresh() != Violation::kNone) return 0;
  return ring_.entries - static_cast<Index>(head_ - tail_);
}

template <class Index>
Status Producer<Index>::Put(const OutFrame& frame) {
  if (violation_ != Violation::kNone) return Error::kProtocol;
  if (!ring_.control) return Error::kUnavailable;
  if (frame.length < kEthernetHeaderBytes || frame.length > kMaxFrameBytes) return Error::kInvalidArgument;
  const uint32_t needed = frame.length <= ring_.slot_bytes ? 1 : EntriesFor(frame.length);
  if (needed > std::min(kMaxParts, ring_.entries)) return Error::kInvalidArgument;
  Descriptor descriptor = DescribeOffload(frame.offload, frame.length);
  if (CheckOffload(descriptor, frame.length) != Violation::kNone) return Error::kInvalidArgument;
  if (Space(needed) < needed) return Error::kAgain;

  // Slots are used in the order of the indices, so a frame is one run of bytes, or two where the ring ends.
  const uint32_t first = head_ & (ring_.entries - 1);
  std::byte* to = ring_.slots + size_t{first} * ring_.slot_bytes;
  size_t run = size_t{ring_.entries - first} * ring_.slot_bytes;
  uint32_t left = frame.length;
  for (const Part& part : frame.parts) {
    if (part.length > left) return Error::kInvalidArgument;
    const std::byte* from = part.data;
    size_t bytes = part.length;
    left -= part.length;
    if (bytes > run) {
      std::memcpy(to, from, run);
      from += run;
      bytes -= run;
      to = ring_.slots;
      run = size_t{first} * ring_.slot_bytes;
    }
    if (bytes) std::memcpy(to, from, bytes);
    to += bytes;
    run -= bytes;
  }
  if (left != 0) return Error::kInvalidArgument;

  left = frame.length;
  for (uint32_t i = 0; i < needed; ++i) {
    descriptor.slot = (first + i) & (ring_.entries - 1);
    descriptor.length = static_cast<uint16_t>(std::min(left, ring_.slot_bytes));
    left -= descriptor.length;
    if (left) descriptor.flags |= kMore;
    StoreDescriptor(&ring_.descriptors[descriptor.slot], descriptor);
    descriptor = {};
  }
  head_ = static_cast<Index>(head_ + needed);
  const uint32_t next = (head_ + kPrefetchSlots) & (ring_.entries - 1);
  __builtin_prefetch(ring_.slots + size_t{next} * ring_.slot_bytes, /*rw=*/1);
  return {};
}

template <class Index>
Status Producer<Index>::PutControl(const ControlMessage& message) {
  if (violation_ != Violation::kNone) return Error::kProtocol;
  if (!ring_.control) return Error::kUnavailable;
  if (CheckControl(message) != Violation::kNone || ring_.slot_bytes < sizeof(message)) {
    return Error::kInvalidArgument;
  }
  if (Space(1) < 1) return Error::kAgain;
  const uint32_t slot = head_ & (ring_.entries - 1);
  std::memcpy(ring_.slots + size_t{slot} * ring_.slot_bytes, &message, sizeof(message));
  Descriptor descriptor = {};
  descriptor.slot = slot;
  descriptor.length = sizeof(message);
  descriptor.flags = kControl;
  StoreDescriptor(&ring_.descriptors[slot], descriptor);
  ++head_;
  return {};
}

template <class Index>
bool Producer<Index>::Publish() {
  if (violation_ != Violation::kNone || head_ == published_) return false;
  const Index before = published_;
  published_ = head_;
  // Release: the slots and descriptors come before the index that shows them.
  ring_.control->producer.index.store(head_, std::memory_order_release);
  return WantsEvent<Index>(ring_.control->consumer, before, head_);
}

template <class Index>
bool Producer<Index>::ArmEvent(uint32_t needed) {
  if (violation_ != Violation::kNone || !ring_.control) return false;
  needed = std::clamp(needed, 1u, ring_.entries);
  Arm<Index>(ring_.control->producer, static_cast<Index>(head_ + needed - ring_.entries - 1));
  if (Refresh() == Violation::kNone && ring_.entries - static_cast<Index>(head_ - tail_) < needed)
    return true;
  DisarmEvent();
  return false;
}

template <class Index>
void Producer<Index>::DisarmEvent() {
  if (ring_.control) Disarm(ring_.control->producer);
}

template <class Index>
bool Producer<Index>::Drained() {
  return Refresh() == Violation::kNone && tail_ == published_;
}

// ---- Consumer --------------------------------------------------------------------------------------------

template <class Index>
Violation Consumer<Index>::Attach(const RingView& ring) {
  *this = Consumer();
  if (!Usable<Index>(ring)) return violation_ = Violation::kBadHeader;
  // Relaxed: our own side's word, see Producer::Attach.
  consumed_ = peeked_ = static_cast<Index>(ring.control->consumer.index.load(std::memory_order_relaxed));
  // Acquire: as in Refresh.
  available_ = static_cast<Index>(ring.control->producer.index.load(std::memory_order_acquire));
  if (static_cast<Index>(available_ - consumed_) > ring.entries) return violation_ = Violation::kIndexJump;
  ring_ = ring;
  Disarm(ring_.control->consumer);
  return Violation::kNone;
}

template <class Index>
Violation Consumer<Index>::Refresh() {
  if (violation_ != Violation::kNone || !ring_.control) return violation_;
  // Acquire: the descriptors and slots that the index shows are visible after it.
  const Index available = static_cast<Index>(ring_.control->producer.index.load(std::memory_order_acquire));
  const Index ahead = static_cast<Index>(available - consumed_);
  // It can only move on, and not beyond what the ring holds.
  if (ahead > ring_.entries || ahead < static_cast<Index>(available_ - consumed_)) {
    return violation_ = Violation::kIndexJump;
  }
  available_ = available;
  return Violation::kNone;
}

template <class Index>
bool Consumer<Index>::Peek(Received& out) {
  if (violation_ != Violation::kNone) return false;
  if (peeked_ == available_ && (Refresh() != Violation::kNone || peeked_ == available_)) return false;

  const uint32_t mask = ring_.entries - 1;
  const Descriptor first = LoadDescriptor(&ring_.descriptors[peeked_ & mask]);
  if (first.slot >= ring_.entries) return violation_ = Violation::kBadSlot, false;
  if (first.length == 0 || first.length > ring_.slot_bytes) return violation_ = Violation::kBadLength, false;
  if (first.flags & ~kKnownFlags) return violation_ = Violation::kBadFlags, false;
  const std::byte* data = ring_.slots + size_t{first.slot} * ring_.slot_bytes;

  out.entries = 1;
  out.part_count = 0;
  if (first.flags & kControl) {
    if (first.flags != kControl) return violation_ = Violation::kBadFlags, false;
    if (first.length != sizeof(ControlMessage) || !NoOffload(first)) {
      return violation_ = Violation::kBadControl, false;
    }
    std::memcpy(&out.message, data, sizeof(out.message));
    violation_ = CheckControl(out.message);
    if (violation_ != Violation::kNone) return false;
    out.control = true;
    out.length = first.length;
    out.header_length = 0;
    out.offload = {};
    ++peeked_;
    return true;
  }

  out.control = false;
  uint32_t length = first.length;
  uint32_t header = std::min(length, Received::kHeaderBytes);
  std::memcpy(out.header, data, header);
  if (header < length) out.parts[out.part_count++] = {data + header, length - header};

  uint16_t flags = first.flags;
  while (flags & kMore) {
    const Index at = static_cast<Index>(peeked_ + out.entries);
    // Whole frames are published at once, so a chain never ends at the published index.
    if (at == available_ || out.entries == kMaxParts) return violation_ = Violation::kEndlessChain, false;
    const Descriptor next = LoadDescriptor(&ring_.descriptors[at & mask]);
    if (next.slot >= ring_.entries) return violation_ = Violation::kBadSlot, false;
    if (next.length == 0 || next.length > ring_.slot_bytes) return violation_ = Violation::kBadLength, false;
    if (next.flags & ~kMore) return violation_ = Violation::kBadFlags, false;
    if (!NoOffload(next)) return violation_ = Violation::kBadOffload, false;
    length += next.length;
    if (length > kMaxFrameBytes) return violation_ = Violation::kBadLength, false;
    ++out.entries;
    flags = next.flags;

    const std::byte* from = ring_.slots + size_t{next.slot} * ring_.slot_bytes;
    uint32_t bytes = next.length;
    if (header < Received::kHeaderBytes) {
      const uint32_t more = std::min(bytes, Received::kHeaderBytes - header);
      std::memcpy(out.header + header, from, more);
      header += more;
      from += more;
      bytes -= more;
    }
    if (bytes == 0) continue;
    Part* last = out.part_count ? &out.parts[out.part_count - 1] : nullptr;
    if (last && last->data + last->length == from) {
      last->length += bytes;
    } else {
      out.parts[out.part_count++] = {from, bytes};
    }
  }
  if (length < kEthernetHeaderBytes) return violation_ = Violation::kBadLength, false;
  violation_ = CheckOffload(first, length);
  if (violation_ != Violation::kNone) return false;
  out.length = length;
  out.header_length = header;
  out.offload = OffloadOf(first);
  peeked_ = static_cast<Index>(peeked_ + out.entries);
  // An honest producer's next frames lie there; for any other it is a wasted hint.
  __builtin_prefetch(ring_.slots + size_t{(peeked_ + kPrefetchSlots) & mask} * ring_.slot_bytes);
  return true;
}

template <class Index>
bool Consumer<Index>::Commit(uint32_t entries) {
  if (violation_ != Violation::kNone || entries == 0) return false;
  // Committing what was not looked at is our own error: it would lose frames without a trace.
  if (entries > static_cast<Index>(peeked_ - consumed_)) __builtin_trap();
  const Index before = consumed_;
  consumed_ = static_cast<Index>(consumed_ + entries);
  // Release: our last reads of the slots come before the producer may reuse them.
  ring_.control->consumer.index.store(consumed_, std::memory_order_release);
  return WantsEvent<Index>(ring_.control->producer, before, consumed_);
}

template <class Index>
uint32_t Consumer<Index>::Pending() {
  return Refresh() == Violation::kNone ? static_cast<Index>(available_ - peeked_) : 0;
}

template <class Index>
bool Consumer<Index>::ArmEvent() {
  if (violation_ != Violation::kNone || !ring_.control) return false;
  Arm<Index>(ring_.control->consumer, available_);
  if (Refresh() == Violation::kNone && available_ == peeked_) return true;
  DisarmEvent();
  return false;
}

template <class Index>
void Consumer<Index>::DisarmEvent() {
  if (ring_.control) Disarm(ring_.control->consumer);
}

template class Producer<uint32_t>;
template class Consumer<uint32_t>;
template class Producer<uint8_t>;
template class Consumer<uint8_t>;

}  // namespace librettos::channel
