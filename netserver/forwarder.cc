#include "netserver/forwarder.h"

#include <algorithm>
#include <cstring>

#include "guest/platform/fault_point.h"
#include "netserver/responder.h"
#include "netserver/source_check.h"

namespace librettos::netserver {

using channel::ControlMessage;
using channel::ControlType;
using channel::Violation;
using Local = Verdict::Local;

namespace {

constexpr Nanoseconds kExpirePeriod = 1'000'000'000;

Fate FateOf(Parsed parsed) {
  return parsed == Parsed::kOk          ? Fate::kForwarded
         : parsed == Parsed::kMalformed ? Fate::k_malformed
                                        : Fate::k_unsupported;
}

}  // namespace

Forwarder::Forwarder(GuestTable& guests, LeaseTable& leases, StatisticsRow* totals, Sharing& sharing,
                     uint32_t loop)
    : guests_(guests),
      leases_(leases),
      totals_(totals),
      sharing_(sharing),
      loop_(loop),
      delivery_(guests, sharing),
      demultiplexer_(guests, leases) {
  for (uint32_t i = 0; i < kBatch; ++i) in_[i].buffer = buffers_[i];
}

void Forwarder::SetNic(Nic* nic, const AddressList& shared) {
  nic_ = nic;
  nic_ready_ = false;
  SetShared(shared);
}

void Forwarder::SetShared(const AddressList& shared) {
  demultiplexer_.SetShared(shared, nic_ ? nic_->address() : MacAddress{});
}

// ---- Scheduling ----

void Forwarder::Discard(Nic& nic, uint32_t frames) {
  for (uint32_t taken = 0; taken < frames; taken += kBatch) {
    if (nic.Receive(in_) < kBatch) return;
  }
}

void Forwarder::Attach(Guest& guest, Nanoseconds now) {
  for (uint32_t i = 0; i < guest.queue_pairs; ++i) {
    Pair& pair = guest.pairs[i];
    if (pair.loop != loop_) continue;
    pair.replay_entries = guest.end->transmit(i).Pending();
    pair.busy_at = now;
    MakeHot(pair);
  }
}

void Forwarder::Detach(Guest& guest) {
  for (Pair& pair : guest.pairs) {
    if (pair.loop == loop_) pair.state = PairState::kDetached;
  }
  Compact();
  Retry(PairState::kDetached);
  delivery_.Forget(guest);
  demultiplexer_.Forget(guest);
  sent_.Forget(guest.slot);
}

void Forwarder::Wake(Pair& pair) {
  Guest& guest = *pair.guest;
  if (!Usable(guest) || pair.index >= guest.queue_pairs || pair.loop != loop_) return;
  if (pair.state == PairState::kArmed) guest.end->transmit(pair.index).DisarmEvent();
  if (pair.state == PairState::kWaitingRoom) guest.end->receive(pair.index).DisarmEvent();
  pair.busy_at = 0;  // Of the pairs, probably only one has something.
  MakeHot(pair);
}

void Forwarder::Wake(Guest& guest, Nanoseconds now) {
  if (!Usable(guest)) return;
  // Of several pairs that were polled because of one doorbell each had one. With several loops nobody can
  // tell in one place whether there was a reason.
  bool idle = !sharing_.several() && guest.answered == 0;
  if (guest.answered) --guest.answered;
  for (uint32_t i = 0; i < guest.queue_pairs; ++i) {
    Pair& pair = guest.pairs[i];
    if (pair.loop != loop_) continue;
    if (pair.state == PairState::kWaitingRoom || guest.end->transmit(i).Pending()) idle = false;
    Wake(pair);
  }
  if (!idle) return;
  Waste(guest, Allowance::kIdleBellCost, now);
  if (Owes(guest, now)) Rest(guest, now);
}

void Forwarder::Waste(Guest& guest, uint32_t cost, Nanoseconds now) {
  SpinLockHolder holder(guest.allowance_lock, sharing_.several());
  guest.allowance.Waste(cost, now);
}

Nanoseconds Forwarder::Owes(Guest& guest, Nanoseconds now) {
  SpinLockHolder holder(guest.allowance_lock, sharing_.several());
  return guest.allowance.Rest(now);
}

// Other loops with pairs of the guest see it when they come to those.
void Forwarder::Rest(Guest& guest, Nanoseconds now) {
  Count(guest.row, Counter::k_rests);
  guest.rest_until.store(now + Owes(guest, now), std::memory_order_relaxed);
  // Only the domain's own loop can stop to listen; with others a doorbell is heard and not looked into.
  if (!sharing_.several()) guest.end->ListenToSignals(false);
  for (uint32_t i = 0; i < guest.queue_pairs; ++i) {
    Pair& pair = guest.pairs[i];
    if (pair.loop != loop_) continue;
    if (pair.state == PairState::kArmed) guest.end->transmit(i).DisarmEvent();
    if (pair.state == PairState::kArmed || pair.state == PairState::kHot) LetRest(pair);
  }
  rests_until_ = std::min(rests_until_, guest.rest_until.load(std::memory_order_relaxed));
}

void Forwarder::LetRest(Pair& pair) {
  pair.state = PairState::kResting;
  rests_until_ = std::min(rests_until_, pair.guest->rest_until.load(std::memory_order_relaxed));
}

void Forwarder::EndRests(Nanoseconds now) {
  rests_until_ = kNever;
  for (uint32_t slot = 0; slot < guests_.limit(); ++slot) {
    Guest* guest = guests_.at(slot);
    if (!guest) continue;
    const Nanoseconds until = guest->rest_until.load(std::memory_order_relaxed);
    if (!until || !Usable(*guest)) continue;
    if (until > now) {
      rests_until_ = std::min(rests_until_, until);
      continue;
    }
    if (!sharing_.several()) {
      guest->rest_until.store(0, std::memory_order_relaxed);
      guest->end->ListenToSignals(true);
    }
    for (uint32_t i = 0; i < guest->queue_pairs; ++i) {
      Pair& pair = guest->pairs[i];
      if (pair.loop != loop_) continue;
      // Room may have been signalled meanwhile.
      if (pair.state == PairState::kWaitingRoom) guest->end->receive(i).DisarmEvent();
      if (pair.state != PairState::kResting && pair.state != PairState::kWaitingRoom) continue;
      pair.busy_at = 0;
      MakeHot(pair);
    }
  }
}

void Forwarder::MakeHot(Pair& pair) {
  pair.state = PairState::kHot;
  if (pair.hot) return;
  pair.hot = true;
  hot_[hot_count_++] = &pair;
}

void Forwarder::MakeWait(Pair& pair, PairState state) {
  pair.state = state;
  if (pair.waiting || state == PairState::kWaitingRoom) return;
  pair.waiting = true;
  waiting_[waiting_count_++] = &pair;
  waits_for_nic_ |= state == PairState::kWaitingNic;
}

// Polls those in `state` again, and forgets those that wait no more.
void Forwarder::Retry(PairState state) {
  uint32_t kept = 0;
  waits_for_nic_ = false;
  for (uint32_t i = 0; i < waiting_count_; ++i) {
    Pair& pair = *waiting_[i];
    bool waits = pair.state == PairState::kWaitingNic || pair.state == PairState::kWaitingReclaim;
    if (waits && pair.state != state) {
      waiting_[kept++] = &pair;
      waits_for_nic_ |= pair.state == PairState::kWaitingNic;
      continue;
    }
    pair.waiting = false;
    if (waits) MakeHot(pair);
  }
  waiting_count_ = kept;
}

void Forwarder::Compact() {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < hot_count_; ++i) {
    if (hot_[i]->state == PairState::kHot) {
      hot_[kept++] = hot_[i];
    } else {
      hot_[i]->hot = false;
    }
  }
  hot_count_ = kept;
}

bool Forwarder::Turn(Nanoseconds now) {
  if (!nic_) return false;
  now_ = now;
  nic_full_ = false;
  if (waiting_count_) {
    if (nic_ready_ || now >= nic_retry_at_) Retry(PairState::kWaitingNic);
    if (!sharing_.hold_leases.load(std::memory_order_relaxed)) Retry(PairState::kWaitingReclaim);
  }
  if (nic_ready_) nic_busy_at_ = now;
  nic_ready_ = false;
  if (now >= rests_until_) EndRests(now);
  bool worked = loop_ == 0 && TurnNic(now);
  if (uint32_t count = hot_count_) {
    uint32_t start = turn_++ % count;
    for (uint32_t i = 0; i < count; ++i) {
      Pair& pair = *hot_[(start + i) % count];
      if (pair.state == PairState::kHot) worked |= TurnPair(pair, now);
    }
    Compact();
  }
  if (now >= expire_at_) {
    expire_at_ = now + kExpirePeriod;
    Count(totals_, Counter::k_fragment_unmatched, demultiplexer_.received().Expire(now));
  }
  return worked;
}

// ---- From the wire ----

bool Forwarder::TurnNic(Nanoseconds now) {
  size_t total = 0;
  for (int round = 0; round < 2; ++round) {
    size_t count = nic_->Receive(in_);
    if (count) FAULT_POINT("server.received");
    for (size_t i = 0; i < count; ++i) FromWire(in_[i], now);
    total += count;
    if (count) FAULT_POINT("server.delivered");
    if (count) delivery_.PublishAll();
    if (count < kBatch) break;
  }
  if (total) nic_busy_at_ = now;
  return total;
}

void Forwarder::FromWire(InFrame& in, Nanoseconds now) {
  Count(totals_, Counter::k_rx_frames);
  Count(totals_, Counter::k_rx_bytes, in.length);
  Packet packet;
  std::span<std::byte> bytes = in.buffer.first(in.length);
  Parsed parsed = Parse(bytes.first(std::min(bytes.size(), kPacketHeaderBytes)), in.length, packet);
  if (parsed != Parsed::kOk) return Drop(totals_, FateOf(parsed));
  Verdict verdict = demultiplexer_.FromWire(packet, now);
  Part part{bytes.data(), in.length};
  OutFrame frame{{&part, 1}, in.length, in.offload};
  switch (verdict.local) {
    case Local::kNone:
      return Drop(totals_, verdict.fate);
    case Local::kFlood:
      return delivery_.Flood(nullptr, packet, frame);
    case Local::kAllShared:
      return delivery_.ToAllShared(nullptr, packet, frame);
    case Local::kHold:
      if (!demultiplexer_.received().Hold(FragmentKey::Of(packet), bytes, in.offload, LastLease(), now)) {
        Drop(totals_, Fate::k_fragment_unmatched);
      }
      return;
    case Local::kRespond: {
      part.length = frame.length = Respond(packet, demultiplexer_.shared_mac(), in.buffer, in.length);
      if (!frame.length) return Drop(totals_, Fate::k_unsupported);
      frame.offload = {};
      if (!Transmit({&frame, 1})) return Drop(totals_, Fate::k_nic_full);
      Count(totals_, Counter::k_tx_frames);
      Count(totals_, Counter::k_tx_bytes, frame.length);
      return;
    }
    case Local::kOne:
      break;
  }
  if (!IsMulticast(packet.destination_mac)) memcpy(bytes.data(), verdict.guest->identity.mac.data(), 6);
  delivery_.ToGuest(*verdict.guest, packet, frame);
  if (!verdict.new_datagram) return;
  FragmentKey key = FragmentKey::Of(packet);
  const uint64_t lease = LeaseOf(packet);
  for (std::span<const std::byte> held;;) {
    held = demultiplexer_.received().Take(key, lease, frame.offload);
    if (held.empty()) break;
    part = {held.data(), static_cast<uint32_t>(held.size())};
    frame.length = part.length;
    delivery_.ToGuest(*verdict.guest, packet, frame);
  }
}

uint64_t Forwarder::LastLease() {
  SpinLockHolder holder(sharing_.leases, sharing_.several());
  return leases_.last_sequence();
}

uint64_t Forwarder::LeaseOf(const Packet& packet) {
  SpinLockHolder holder(sharing_.leases, sharing_.several());
  return leases_.Sequence(packet.protocol, packet.destination_port);
}

// ---- From guests ----

bool Forwarder::TurnPair(Pair& pair, Nanoseconds now) {
  Guest& guest = *pair.guest;
  if (!Usable(guest)) {
    pair.state = PairState::kDetached;
    return false;
  }
  if (guest.rest_until.load(std::memory_order_relaxed) > now) {
    LetRest(pair);
    return false;
  }
  channel::Consumer<>& ring = guest.end->transmit(pair.index);
  bool worked = false;
  uint32_t cost = 0, bytes = 0;
  const uint32_t budget = hot_count_ > 1 ? kSharedFrameBudget : kFrameBudget;
  while (cost < budget && bytes < kByteBudget) {
    uint32_t count = 0;
    while (count < kBatch && cost + count < budget && bytes < kByteBudget &&
           ring.Peek(slots_[count].received)) {
      bytes += slots_[count++].received.length;
    }
    if (!count) break;
    worked = true;
    FAULT_POINT("server.looked");
    uint32_t done = Process(pair, count, cost, now);
    delivery_.PublishAll();
    if (!Usable(guest)) return true;  // Closed on the way: its rings are gone.
    uint32_t entries = 0;
    for (uint32_t i = 0; i < done; ++i) {
      entries += slots_[i].received.entries;
      if (!pair.replay_entries) continue;
      if (!slots_[i].received.control)
        Count(totals_, Counter::k_replayed_frames), Count(guest.row, Counter::k_replayed_frames);
      pair.replay_entries -= std::min(pair.replay_entries, slots_[i].received.entries);
    }
    FAULT_POINT("server.sent");
    const bool wanted = ring.Commit(entries);
    FAULT_POINT("server.consumed");
    if (wanted) delivery_.Signal(pair);
    cost += done;
    if (done < count) {
      ring.Rewind();
      break;
    }
  }
  if (ring.violation() != Violation::kNone) {
    delivery_.Close(guest, ring.violation());
    return true;
  }
  if (worked) {
    pair.busy_at = now;
    if (!sharing_.several()) guest.answered = std::min(guest.answered + 1, guest.queue_pairs);
    if (Owes(guest, now)) Rest(guest, now);
  } else if (now - pair.busy_at >= kPollTime && ring.ArmEvent()) {
    pair.state = PairState::kArmed;
  }
  return worked;
}

uint32_t Forwarder::Process(Pair& pair, uint32_t count, uint32_t& cost, Nanoseconds now) {
  Guest& guest = *pair.guest;
  done_ = 0;
  wire_count_ = 0;
  bool flushed = true;
  for (uint32_t i = 0; i < count && flushed && guest.active; ++i) {
    Slot& slot = slots_[i];
    if (slot.received.control) {
      flushed = Flush(guest, i);
      if (!flushed) break;
      if (HandleControl(pair, slot.received.message) == Control::kWait) return done_;
      cost += kControlCost;
      done_ = i + 1;
      continue;
    }
    Verdict verdict = Judge(guest, slot, now);
    slot.fate = verdict.fate;
    if (verdict.wire) {
      wire_[wire_count_] = slot.frame;
      wire_slot_[wire_count_++] = i;
    }
    if (verdict.local == Local::kNone) continue;
    // What is delivered here must not be delivered again: first all before it, and itself, goes to the wire.
    flushed = Flush(guest, verdict.wire ? i + 1 : i);
    if (!flushed) break;
    DeliverLocally(guest, slot, verdict, cost);
    if (!verdict.wire) flushed = Flush(guest, i + 1);
  }
  if (flushed && guest.active) flushed = Flush(guest, count);
  if (!flushed) MakeWait(pair, PairState::kWaitingNic);
  return done_;
}

Verdict Forwarder::Judge(Guest& guest, Slot& slot, Nanoseconds now) {
  channel::Received& received = slot.received;
  slot.parts[0] = {received.header, received.header_length};
  std::copy_n(received.parts, received.part_count, slot.parts + 1);
  slot.frame = {{slot.parts, received.part_count + 1u}, received.length, received.offload};
  Parsed parsed = Parse({received.header, received.header_length}, received.length, slot.packet);
  if (parsed != Parsed::kOk) return {.fate = FateOf(parsed)};
  Fate fate = CheckSource(slot.packet, guest, demultiplexer_.shared(), leases_, sent_, now);
  if (fate != Fate::kForwarded) return {.fate = fate};
  if (!OffloadFits(slot.packet, received.offload)) return {.fate = Fate::k_malformed};
  Verdict verdict = demultiplexer_.FromGuest(slot.packet, guest, now);
  if (verdict.local == Local::kFlood || verdict.local == Local::kAllShared) {
    SpinLockHolder holder(guest.allowance_lock, sharing_.several());
    if (!guest.allowance.Flood(guests_.count(), now)) return {.fate = Fate::k_flood_limited};
  }
  if (verdict.wire) {
    fate = FitsWire(slot.frame);
    if (fate != Fate::kForwarded) return {.fate = fate};
  }
  return verdict;
}

Fate Forwarder::FitsWire(const OutFrame& frame) const {
  NicFeatures features = nic_->features();
  if (frame.offload.segmentation != Segmentation::kNone) {
    return features.segmentation ? Fate::kForwarded : Fate::k_too_long;
  }
  if (frame.length > nic_->mtu() + kEthernetHeaderBytes) return Fate::k_too_long;
  return frame.offload.needs_checksum && !features.checksum ? Fate::k_unsupported : Fate::kForwarded;
}

void Forwarder::DeliverLocally(Guest& from, Slot& slot, const Verdict& verdict, uint32_t& cost) {
  Count(from.row, Counter::k_local_frames);
  switch (verdict.local) {
    case Local::kOne:
      // Private copy: the receiver gets what was checked, with its own address.
      if (!IsMulticast(slot.packet.destination_mac)) {
        memcpy(slot.received.header, verdict.guest->identity.mac.data(), 6);
      }
      return delivery_.ToGuest(*verdict.guest, slot.packet, slot.frame);
    case Local::kAllShared:
      cost += kFloodCost + guests_.count() / 4;
      return delivery_.ToAllShared(&from, slot.packet, slot.frame);
    case Local::kFlood:
      cost += kFloodCost + guests_.count() / 4;
      return delivery_.Flood(&from, slot.packet, slot.frame);
    case Local::kRespond: {
      slot.received.CopyTo(answer_.data());
      uint32_t length = Respond(slot.packet, demultiplexer_.shared_mac(), answer_, slot.received.length);
      if (!length) {
        slot.fate = Fate::k_unsupported;
        return;
      }
      Part part{answer_.data(), length};
      return delivery_.ToGuest(from, slot.packet, {{&part, 1}, length, {.checksum_valid = true}});
    }
    case Local::kNone:
    case Local::kHold:
      return;
  }
}

bool Forwarder::Flush(Guest& guest, uint32_t upto) {
  uint32_t taken = 0;
  if (wire_count_ && !nic_full_) taken = Transmit({wire_.data(), wire_count_});
  bool all = taken == wire_count_;
  uint32_t done = all ? upto : wire_slot_[taken];
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < taken; ++i) bytes += wire_[i].length;
  if (taken) Count(totals_, Counter::k_tx_frames, taken), Count(totals_, Counter::k_tx_bytes, bytes);
  uint64_t frames = 0;
  bytes = 0;
  for (uint32_t i = done_; i < done; ++i) {
    if (slots_[i].fate != Fate::kForwarded) {
      Drop(guest.row, slots_[i].fate);
      Waste(guest, Allowance::kDropCost, now_);
      continue;
    }
    ++frames;
    bytes += slots_[i].received.length;
  }
  if (frames) Count(guest.row, Counter::k_tx_frames, frames), Count(guest.row, Counter::k_tx_bytes, bytes);
  done_ = std::max(done_, done);
  wire_count_ = 0;
  if (!all) {
    nic_full_ = true;
    nic_retry_at_ = now_ + kNicRetry;
  }
  return all;
}

// The NIC's handler is the first loop's; the others try again by themselves.
uint32_t Forwarder::Transmit(std::span<const OutFrame> frames) {
  return static_cast<uint32_t>(loop_ ? nic_->Send(frames) : nic_->Transmit(frames));
}

uint64_t Forwarder::NextRandom() {
  if (!random_left_) {
    Random(std::as_writable_bytes(std::span(random_)));
    random_left_ = random_.size();
  }
  return random_[--random_left_];
}

Forwarder::Control Forwarder::HandleControl(Pair& pair, const ControlMessage& message) {
  Guest& guest = *pair.guest;
  switch (static_cast<ControlType>(message.type)) {
    case ControlType::kLeaseRequest: {
      if (sharing_.hold_leases.load(std::memory_order_relaxed) && guest.shared()) {
        MakeWait(pair, PairState::kWaitingReclaim);
        return Control::kWait;
      }
      if (!delivery_.HasRoom(pair)) {
        delivery_.PublishAll();
        if (delivery_.ArmRoom(pair)) {
          MakeWait(pair, PairState::kWaitingRoom);
          return Control::kWait;
        }
        if (!guest.active) return Control::kDone;
      }
      ControlMessage reply;
      FAULT_POINT("server.lease");
      const uint64_t random = message.port ? 0 : NextRandom();
      {
        SpinLockHolder holder(sharing_.leases, sharing_.several());
        leases_.Request(guest, message, random, reply);
        Set(guest.row, Counter::k_leases, guest.lease_count);
      }
      // Another loop may have taken the room: the request stays, and is granted the same again.
      if (delivery_.PutControl(pair, reply).error() == Error::kAgain) return Control::kWait;
      {
        SpinLockHolder holder(guest.allowance_lock, sharing_.several());
        guest.allowance.Lease(now_);
      }
      if (reply.status) {
        Count(guest.row, Counter::k_lease_refusals);
        Waste(guest, Allowance::kRefusalCost, now_);
      }
      break;
    }
    case ControlType::kLeaseRelease: {
      SpinLockHolder holder(sharing_.leases, sharing_.several());
      leases_.Release(guest, message.protocol, message.port, message.sequence);
      Set(guest.row, Counter::k_leases, guest.lease_count);
      break;
    }
    case ControlType::kModeChanged:
      // Shared addresses cannot move to another NIC; a guest that claims so stays where it is.
      // It comes on each queue pair; what the header says is never older than the message.
      if (!guest.shared()) guest.mode = guest.end->declared_mode();
      break;
    default:
      delivery_.Close(guest, Violation::kBadControl);
      return Control::kDone;
  }
  return Control::kDone;
}

}  // namespace librettos::netserver
