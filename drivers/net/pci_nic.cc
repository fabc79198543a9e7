#include "drivers/net/pci_nic.h"

#include <string.h>

#include <new>

#include "drivers/net/pci_capability.h"

namespace librettos {

PciNic::PciNic(PciFunction& function, const Device& device) : function_(function), mtu_(device.mtu) {
  memcpy(address_.data(), device.address, address_.size());
}

Result<bool> PciNic::OpenStep() {
  Status status;
  switch (progress_) {
    case Progress::kPrepare: {
      const Result<bool> prepared = PrepareStep();
      if (!prepared.ok()) return prepared.error();
      if (prepared.value()) progress_ = Progress::kInterruptTable;
      break;
    }
    case Progress::kInterruptTable:
      pci::OpenMsiXTable(function_);
      progress_ = Progress::kInterrupts;
      break;
    case Progress::kInterrupts:
      status = AllocateInterrupts();
      progress_ = Progress::kStart;
      break;
    case Progress::kStart:
      status = Start();
      if (!status.ok()) break;
      progress_ = Progress::kOpen;
      return true;
    case Progress::kOpen:
      return true;
  }
  if (!status.ok()) return status.error();
  return false;
}

Result<NicOpening*> PciOpening::Begin(PciNic* nic) {
  std::unique_ptr<PciNic> owned(nic);
  auto* opening = nic ? new (std::nothrow) PciOpening(nic) : nullptr;
  if (!opening) return Error::kExhausted;
  owned.release();
  return static_cast<NicOpening*>(opening);
}

void PciNic::GiveUp(std::string_view reason) {
  if (gone_) return;
  Log(reason);
  gone_ = true;
  if (awaiting_room_ && handler_) function_.Raise(0);
}

void PciNic::UpdateLink() {
  looked_at_ = Now();
  const Link link = ReadLink();
  if (link == Link::kGone) return GiveUp("nic: the device is gone");
  link_up_ = link == Link::kUp;
  if (link_up_ && awaiting_room_ && handler_) function_.Raise(0);
}

void PciNic::LookAgain() {
  if (!gone_ && Now() - looked_at_ >= kLinkPeriod) UpdateLink();
}

size_t PciNic::SendLocked(std::span<const OutFrame> frames) {
  size_t taken = 0;
  if (gone_) {
    for (; taken < frames.size(); ++taken) {
      ++counters_.tx_frames;
      ++counters_.tx_errors;
      counters_.tx_bytes += frames[taken].length;
    }
    return taken;
  }
  if (!link_up_) LookAgain();
  if (!link_up_) return 0;
  Reclaim();
  while (taken < frames.size()) {
    const OutFrame& frame = frames[taken];
    const Sent sent = Put(frame);
    if (sent == Sent::kFull) break;
    ++taken;
    ++counters_.tx_frames;
    counters_.tx_bytes += frame.length;
    if (sent == Sent::kRefused) ++counters_.tx_errors;
  }
  PublishSent();
  return taken;
}

size_t PciNic::Send(std::span<const OutFrame> frames) {
  SpinLockHolder holder(lock_);
  size_t taken = SendLocked(frames);
  if (taken == frames.size()) return taken;
  LookAgain();  // Is it only slow?
  if (gone_) taken += SendLocked(frames.subspan(taken));
  return taken;
}

size_t PciNic::Transmit(std::span<const OutFrame> frames) {
  const size_t taken = Send(frames);
  if (taken == frames.size()) return taken;
  SpinLockHolder holder(lock_);
  awaiting_room_ = true;
  if (handler_ && armed_) {
    Arm(true);
    if (Ready()) function_.Raise(0);
  }
  return taken;
}

size_t PciNic::Receive(std::span<InFrame> frames) {
  size_t filled = 0;
  for (uint32_t budget = ReceiveBudget(); budget > 0 && filled < frames.size(); --budget) {
    SpinLockHolder holder(lock_);
    if (gone_) return filled;
    const Got got = Take(frames[filled]);
    if (got == Got::kNothing) break;
    if (got == Got::kBad) {
      ++counters_.rx_errors;
      continue;
    }
    ++counters_.rx_frames;
    counters_.rx_bytes += frames[filled].length;
    ++filled;
  }
  SpinLockHolder holder(lock_);
  if (!gone_) PublishTaken();
  return filled;
}

bool PciNic::Ready() {
  if (gone_) return awaiting_room_;
  if (FrameReady()) return true;
  if (!awaiting_room_ || !link_up_) return false;
  Reclaim();
  return RoomReady();
}

void PciNic::SetHandler(Handler* handler) {
  SpinLockHolder holder(lock_);
  handler_ = handler;
  if (!handler_) {
    if (armed_ && !gone_) Disarm();
    armed_ = false;
    return;
  }
  if (!armed_ && !gone_) {
    Arm(awaiting_room_);
    armed_ = true;
  }
  if (Ready()) function_.Raise(0);
}

void PciNic::OnQueueVector() {
  {
    SpinLockHolder holder(lock_);
    if (!gone_) OnInterrupt(armed_);
    if (!handler_) return;
    if (armed_ && !gone_) Disarm();
    armed_ = false;
    if (!Ready()) {
      if (gone_) return;
      Arm(awaiting_room_);
      armed_ = true;
      if (Ready()) function_.Raise(0);
      return;
    }
    awaiting_room_ = awaiting_room_ && !gone_ && (!link_up_ || !RoomReady());
  }
  handler_->OnEvent();
  // It may have taken all, some or nothing, and may still do so before it waits.
  if (handler_) function_.Raise(0);
}

// ---- Closing

bool PciNic::CloseStep() {
  SpinLockHolder holder(lock_);
  switch (closing_) {
    case Closing::kNot:
      for (unsigned vector = 0; vector < vectors_; ++vector) function_.SetInterruptHandler(vector, nullptr);
      handler_ = nullptr;
      drain_until_ = Now() + kDrainTime;
      closing_ = progress_ == Progress::kOpen ? Closing::kDrain : Closing::kDevice;
      break;
    case Closing::kDrain:  // What was taken leaves, if it does not take long.
      if (!gone_) Reclaim();
      if (gone_ || !link_up_ || Idle() || Now() >= drain_until_) closing_ = Closing::kDevice;
      break;
    case Closing::kDevice:
      if (StopStep()) closing_ = Closing::kBusMaster;
      break;
    case Closing::kBusMaster:
      function_.SetBusMaster(false);
      closing_ = Closing::kInterrupts;
      break;
    case Closing::kInterrupts:
      function_.DisableInterrupts();
      closing_ = Closing::kClosed;
      return true;
    case Closing::kClosed:
      return true;
  }
  return false;
}

void PciNic::Close() {
  for (uint32_t steps = kCloseSteps; steps > 0; --steps) {
    if (CloseStep()) return;
  }
  function_.SetBusMaster(false);
  function_.DisableInterrupts();
}

}  // namespace librettos
