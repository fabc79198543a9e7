#include "netserver/loops.h"

#include <algorithm>
#include <new>

namespace librettos::netserver {

Status Loops::Start(Platform& platform, GuestTable& guests, LeaseTable& leases, StatisticsRow* totals) {
  leases_ = &leases;
  sharing_.loops = std::min<uint32_t>(platform.cpus().count(), kMaxLoops);
  if (sharing_.several()) rows_are_shared.store(true, std::memory_order_relaxed);
  first_.reset(new (std::nothrow) Forwarder(guests, leases, totals, sharing_, 0));
  if (!first_) return Error::kExhausted;
  for (; workers_count_ + 1 < sharing_.loops; ++workers_count_) {
    auto& worker = workers_[workers_count_];
    worker.reset(new (std::nothrow)
                     Worker(platform.cpus(), workers_count_ + 1, guests, leases, totals, sharing_));
    if (!worker) return Error::kExhausted;
    Status status = worker->Start();
    if (!status.ok()) return status;
  }
  return {};
}

void Loops::End() {
  for (; workers_count_; --workers_count_) workers_[workers_count_ - 1]->End();
}

void Loops::Stop() {
  if (stopped_) return;
  stopped_ = true;
  // All are asked before the first is waited for.
  for (uint32_t i = 0; i < workers_count_; ++i) workers_[i]->RequestStop();
  for (uint32_t i = 0; i < workers_count_; ++i) workers_[i]->AwaitStop();
}

void Loops::Resume() {
  if (!stopped_) return;
  stopped_ = false;
  for (uint32_t i = 0; i < workers_count_; ++i) workers_[i]->Resume();
}

void Loops::SetNic(Nic* nic, const AddressList& shared) {
  Stop();
  ForAll([&](Forwarder& forwarder) { forwarder.SetNic(nic, shared); });
}

void Loops::SetShared(const AddressList& shared) {
  Stop();
  ForAll([&](Forwarder& forwarder) { forwarder.SetShared(shared); });
}

void Loops::Attach(Guest& guest, Nanoseconds now) {
  Stop();
  guest.queue_pairs = guest.end->geometry().queue_pairs;
  guest.cut_off = channel::Violation::kNone;
  guest.active = true;
  if (guest.rest_until.exchange(0, std::memory_order_relaxed)) guest.end->ListenToSignals(true);
  // The first loop receives for all; so it is the last to send for a guest.
  for (uint32_t i = 0; i < guest.queue_pairs; ++i)
    guest.pairs[i].loop = (guest.slot + i + 1) % sharing_.loops;
  ForAll([&](Forwarder& forwarder) { forwarder.Attach(guest, now); });
}

void Loops::Detach(Guest& guest) {
  Stop();
  guest.active = false;
  ForAll([&](Forwarder& forwarder) { forwarder.Detach(guest); });
  leases_->ReleaseAll(guest);
  Set(guest.row, Counter::k_leases, 0);
}

void Loops::HoldLeases(bool hold) {
  if (sharing_.hold_leases.load(std::memory_order_relaxed) == hold) return;
  Stop();
  sharing_.hold_leases.store(hold, std::memory_order_relaxed);
}

void Loops::Wake(Guest& guest, Nanoseconds now) {
  Count(guest.row, Counter::k_events_received);
  first_->Wake(guest, now);
  for (uint32_t i = 0; i < workers_count_; ++i) workers_[i]->Ring(guest);
}

bool Loops::AllTurned() {
  for (uint32_t i = 0; i < workers_count_; ++i) {
    if (workers_[i]->turns() == seen_turns_[i]) return false;
  }
  for (uint32_t i = 0; i < workers_count_; ++i) seen_turns_[i] = workers_[i]->turns();
  return true;
}

void Loops::WakeAll() {
  for (uint32_t i = 0; i < workers_count_; ++i) workers_[i]->Wake();
}

}  // namespace librettos::netserver
