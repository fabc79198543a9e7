#include "drivers/net/pci_nic.h"

#include <string.h>

namespace librettos {

PciNic::PciNic(PciFunction& function, const Device& device) : function_(function), mtu_(device.mtu) {
  memcpy(address_.data(), device.address, address_.size());
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

size_t PciNic::Transmit(std::span<const OutFrame> frames) {
  size_t taken = 0;
  if (!gone_) {
    if (!link_up_) LookAgain();
    if (link_up_) {
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
    }
    if (taken == frames.size()) return taken;
    LookAgain();  // Is it only slow?
  }
  if (gone_) {
    for (; taken < frames.size(); ++taken) {
      ++counters_.tx_frames;
      ++counters_.tx_errors;
      counters_.tx_bytes += frames[taken].length;
    }
    return taken;
  }
  awaiting_room_ = true;
  if (handler_ && armed_) {
    Arm(true);
    if (Ready()) function_.Raise(0);
  }
  return taken;
}

size_t PciNic::Receive(std::span<InFrame> frames) {
  size_t filled = 0;
  for (uint32_t budget = ReceiveBudget(); budget > 0 && filled < frames.size() && !gone_; --budget) {
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
  if (!gone_) OnInterrupt(armed_);
  if (!handler_) return;
  if (armed_ && !gone_) Disarm();
  armed_ = false;
  if (Ready()) {
    awaiting_room_ = awaiting_room_ && !gone_ && (!link_up_ || !RoomReady());
    handler_->OnEvent();
    // It may have taken all, some or nothing, and may still do so before it waits.
    if (handler_) function_.Raise(0);
    return;
  }
  if (gone_) return;
  Arm(awaiting_room_);
  armed_ = true;
  if (Ready()) function_.Raise(0);
}

void PciNic::Drain() {
  const Nanoseconds until = Now() + kDrainTime;
  for (uint32_t turns = kDrainTurns; turns > 0 && !gone_ && link_up_; --turns) {
    Reclaim();
    if (Idle() || Now() >= until) return;
  }
}

}  // namespace librettos
