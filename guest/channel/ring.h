// The two ends of one ring. See layout.h for the memory and the trust boundary.
//
// An end that is not attached is an empty ring without room. After a violation an end answers false, 0 or
// kProtocol for ever, and touches the ring no more. ArmEvent is then false, too: check violation() before
// looking again. One thread at a time uses an end.
//
// Index is a template parameter so that tests wrap 8-bit counters. The shared words stay 32 bits wide; only
// the low bits of Index are compared.
//
// Wake-ups: a side that wants to sleep publishes from which index of the other side on it wants an event,
// then looks once more (ArmEvent returns false if there is work already). The other side, after publishing
// its index, signals only if the wanted index was passed. No fixed delay, no event under load.
#pragma once

#include <span>

#include "guest/channel/control.h"
#include "guest/channel/layout.h"
#include "guest/platform/frame.h"
#include "guest/platform/result.h"

namespace librettos::channel {

// Why a channel was closed on the peer's account; each is counted.
enum class Violation : uint8_t {
  kNone,
  kIndexJump,  // An index moved back or by more than the ring holds.
  kBadSlot,
  kBadLength,  // 0, longer than a slot, or a frame over kMaxFrameBytes or shorter than an Ethernet header.
  kBadFlags,
  kBadOffload,    // Offsets outside the frame, or segmentation without checksum.
  kEndlessChain,  // More than kMaxParts, or a chain that ends outside of what was published.
  kBadControl,
  kBadHeader,  // Magic, version or geometry.
  kCount,
};
const char* ToString(Violation violation);

// Where a ring lies. Pointers into shared memory: stays inside this library.
struct RingView {
  RingControl* control = nullptr;
  Descriptor* descriptors = nullptr;
  std::byte* slots = nullptr;
  uint32_t entries = 0;
  uint32_t slot_bytes = 0;
};

// A frame or control message looked at but not consumed. `header` is a private copy of its first bytes;
// `parts` are what follows the copied header, still in shared memory (see Part).
struct Received {
  static constexpr uint32_t kHeaderBytes = 192;
  bool control = false;
  uint32_t length = 0;         // Whole frame.
  uint32_t header_length = 0;  // min(length, kHeaderBytes)
  uint32_t part_count = 0;
  uint32_t entries = 0;  // Descriptors it takes.
  Offload offload;
  ControlMessage message;  // If control.
  alignas(8) std::byte header[kHeaderBytes];
  Part parts[kMaxParts];

  // Copies the whole frame, header from the private copy; `out` has at least `length` bytes.
  void CopyTo(std::byte* out) const;
};

// producer: all methods.
template <class Index = uint32_t>
class Producer {
 public:
  // Takes up where the shared words stand: a fresh ring, or one left by a predecessor of the same side.
  // kIndexJump if they are impossible.
  Violation Attach(const RingView& ring);
  // How many more entries fit now. Loads the consumer's index only if `needed` do not fit by the cached one.
  uint32_t Space(uint32_t needed);
  uint32_t EntriesFor(uint32_t frame_bytes) const {
    return (frame_bytes + ring_.slot_bytes - 1) / ring_.slot_bytes;
  }
  // Copies the frame into slots, not yet published. kAgain: no room (nothing was written). kInvalidArgument:
  // empty or longer than kMaxFrameBytes or kMaxParts slots, parts that do not add up, or an impossible
  // offload. kProtocol: violation() says why. kUnavailable: not attached.
  Status Put(const OutFrame& frame);
  Status PutControl(const ControlMessage& message);
  // Publishes all that was put; true if the consumer wants to be signalled.
  [[nodiscard]] bool Publish();
  // Wants an event when `needed` entries will fit. False: they fit already, do not sleep.
  [[nodiscard]] bool ArmEvent(uint32_t needed);
  void DisarmEvent();
  // Everything published has had its effect on the consumer's side.
  bool Drained();
  Violation violation() const { return violation_; }

 private:
  Violation Refresh();
  RingView ring_;
  Index head_ = 0;  // Next to write; published_ <= head_.
  Index published_ = 0;
  Index tail_ = 0;  // Cached consumer index.
  Violation violation_ = Violation::kNone;
};

// consumer: all methods.
template <class Index = uint32_t>
class Consumer {
 public:
  Violation Attach(const RingView& ring);
  // Looks at the next frame beyond those already looked at. False: none, or a violation (check violation()).
  // Frames looked at stay in the ring until Commit.
  bool Peek(Received& out);
  // The effect of the oldest `entries` (sum of Received::entries) is done: frees them. True if the producer
  // wants to be signalled for room.
  [[nodiscard]] bool Commit(uint32_t entries);
  // Forgets frames looked at but not committed: the next Peek starts with the oldest.
  void Rewind() { peeked_ = consumed_; }
  // Entries published and not yet looked at, by the cached index after one fresh load.
  uint32_t Pending();
  // Wants an event when anything new is published. False: there is something already, do not sleep.
  [[nodiscard]] bool ArmEvent();
  void DisarmEvent();
  Violation violation() const { return violation_; }

 private:
  Violation Refresh();
  RingView ring_;
  Index consumed_ = 0;
  Index peeked_ = 0;
  Index available_ = 0;  // Cached producer index.
  Violation violation_ = Violation::kNone;
};

extern template class Producer<uint32_t>;
extern template class Consumer<uint32_t>;
extern template class Producer<uint8_t>;
extern template class Consumer<uint8_t>;

}  // namespace librettos::channel
