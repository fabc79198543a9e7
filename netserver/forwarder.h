// The forwarding loop: moves frames between the rings of guests and the NIC.
//
// One for each CPU, each with queue pairs of its own; the first one receives from the NIC. Turn is its
// loop's; all else is called while the loop is stopped. Never blocks, never allocates. Each turn gives each
// busy queue pair a budget of frames and bytes, starting with another pair every time. A silent pair is not
// looked at: it was armed and rings. Frames are consumed after their effect: what the NIC does not take stays
// in its ring, and is not handed on a second time.
#pragma once

#include "drivers/net/nic.h"
#include "netserver/delivery.h"
#include "netserver/demultiplexer.h"
#include "netserver/guest_table.h"
#include "netserver/lease_table.h"
#include "netserver/sharing.h"

namespace librettos::netserver {

class Forwarder final {
 public:
  static constexpr uint32_t kBatch = 32;
  // Of a pair per turn: alone, and beside others that are busy. A small one, as many small frames cost more
  // than a few large ones, and whoever has these is to wait for as short as may be.
  static constexpr uint32_t kFrameBudget = 64, kSharedFrameBudget = 16;
  static constexpr uint32_t kControlCost = 8;
  static constexpr uint32_t kFloodCost = 4;  // And one for each 4 guests.
  static constexpr uint32_t kByteBudget = 256 * 1024;
  static constexpr Nanoseconds kPollTime =
      30'000;  // How long a silent pair or NIC is polled before it is armed.
  static constexpr Nanoseconds kNever = ~Nanoseconds{0};
  static constexpr Nanoseconds kNicRetry = 20'000;  // While others keep the loop from sleeping.

  // `loop` 0 is the first.
  Forwarder(GuestTable& guests, LeaseTable& leases, StatisticsRow* totals, Sharing& sharing, uint32_t loop);

  // nullptr: none; then nothing may be attached. The Nic is the caller's.
  void SetNic(Nic* nic, const AddressList& shared);
  void SetShared(const AddressList& shared);
  // Takes up to `frames` frames from a NIC that is not forwarded for, and forgets them.
  void Discard(Nic& nic, uint32_t frames);
  // `guest` was activated: forwards for those of its pairs that are this loop's.
  void Attach(Guest& guest, Nanoseconds now);
  // Forgets the guest, which is not active any more. Harmless if it is not attached.
  void Detach(Guest& guest);
  // The guest signalled; the pair is this loop's. Called by the loop.
  void Wake(Pair& pair);
  // The guest signalled: all its pairs that are this loop's.
  void Wake(Guest& guest, Nanoseconds now);
  void NicReady() { nic_ready_ = true; }

  // True: something was done.
  bool Turn(Nanoseconds now);
  // Nothing is polled any more: all that can happen next rings, or comes with RestsUntil.
  bool CanSleep(Nanoseconds now) const { return hot_count_ == 0 && now - nic_busy_at_ >= kPollTime; }
  // When frames that the NIC refused are to be tried again, unless it is ready before; 0: there are none.
  Nanoseconds nic_retry_at() const { return waits_for_nic_ ? nic_retry_at_ : 0; }
  // When the first guest that rests is looked at again; the end of time if none does.
  Nanoseconds RestsUntil() const { return rests_until_; }

 private:
  struct Slot {
    channel::Received received;
    Packet packet;
    Fate fate;
    Part parts[channel::kMaxParts + 2];
    OutFrame frame;
  };
  enum class Control : uint8_t { kDone, kWait };

  bool TurnNic(Nanoseconds now);
  void FromWire(InFrame& in, Nanoseconds now);
  uint64_t LastLease();
  uint64_t LeaseOf(const Packet& packet);
  bool TurnPair(Pair& pair, Nanoseconds now);
  // Returns how many of the first `count` slots have had their effect.
  uint32_t Process(Pair& pair, uint32_t count, uint32_t& cost, Nanoseconds now);
  Verdict Judge(Guest& guest, Slot& slot, Nanoseconds now);
  void DeliverLocally(Guest& from, Slot& slot, const Verdict& verdict, uint32_t& cost);
  // Sends what is queued for the wire and counts slots from done_ to `upto`. False: the NIC is full before.
  bool Flush(Guest& guest, uint32_t upto);
  Control HandleControl(Pair& pair, const channel::ControlMessage& message);
  uint32_t Transmit(std::span<const OutFrame> frames);
  uint64_t NextRandom();
  Fate FitsWire(const OutFrame& frame) const;
  void MakeHot(Pair& pair);
  void MakeWait(Pair& pair, PairState state);
  void Retry(PairState state);
  void Compact();
  // Leaves the guest alone for as long as it owes something.
  void Rest(Guest& guest, Nanoseconds now);
  void LetRest(Pair& pair);
  void Waste(Guest& guest, uint32_t cost, Nanoseconds now);
  Nanoseconds Owes(Guest& guest, Nanoseconds now);
  void EndRests(Nanoseconds now);
  void Drop(StatisticsRow* row, Fate fate) { Count(row, ToCounter(fate)); }

  GuestTable& guests_;
  LeaseTable& leases_;
  StatisticsRow* totals_;
  Sharing& sharing_;
  const uint32_t loop_;
  Delivery delivery_;
  Demultiplexer demultiplexer_;
  FragmentTable sent_;  // By guests on shared addresses.
  Nic* nic_ = nullptr;
  bool nic_ready_ = false;
  bool nic_full_ = false;       // In this turn.
  bool waits_for_nic_ = false;  // Some pair does.
  Nanoseconds now_ = 0;         // Of this turn.
  Nanoseconds nic_busy_at_ = 0;
  Nanoseconds nic_retry_at_ = 0;
  Nanoseconds expire_at_ = 0;
  Nanoseconds rests_until_ = kNever;
  uint32_t turn_ = 0;
  uint32_t done_ = 0;        // Of the batch.
  uint32_t wire_count_ = 0;  // Queued for the wire.
  uint32_t hot_count_ = 0;
  uint32_t waiting_count_ = 0;
  std::array<uint64_t, 32> random_;  // Drawn at once: a system call for each would be dear.
  size_t random_left_ = 0;
  std::array<Pair*, kMaxGuests * channel::kMaxQueuePairs> hot_;
  std::array<Pair*, kMaxGuests * channel::kMaxQueuePairs> waiting_;
  std::array<OutFrame, kBatch> wire_;
  std::array<uint32_t, kBatch> wire_slot_;
  std::array<Slot, kBatch> slots_;
  std::array<InFrame, kBatch> in_;
  std::array<std::array<std::byte, kMaxFrameBytes + 1>, kBatch> buffers_;
  std::array<std::byte, kMaxFrameBytes + 1> answer_;
};

}  // namespace librettos::netserver
