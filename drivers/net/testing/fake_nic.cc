#include "drivers/net/testing/fake_nic.h"

#include <cstring>

namespace librettos::fake {

bool FakeNic::Poll() {
  {
    std::lock_guard lock(sending_);
    const bool room_again = was_full_ && room_ > 0;
    if (!handler_ || (arrived_.empty() && !room_again)) return false;
    was_full_ = was_full_ && !room_again;
  }
  handler_->OnEvent();
  return true;
}

size_t FakeNic::Transmit(std::span<const OutFrame> frames) {
  std::lock_guard lock(sending_);
  size_t taken = 0;
  for (const OutFrame& frame : frames) {
    if (room_ == 0) {
      was_full_ = true;
      break;
    }
    if (room_ != SIZE_MAX) --room_;
    NicFrame copy;
    copy.offload = frame.offload;
    for (const Part& part : frame.parts)
      copy.bytes.insert(copy.bytes.end(), part.data, part.data + part.length);
    ++counters_.tx_frames;
    counters_.tx_bytes += copy.bytes.size();
    if (copy.bytes.size() != frame.length)
      ++counters_.tx_errors;  // A broken promise of the caller: for tests to see.
    sent_.push_back(std::move(copy));
    ++taken;
  }
  if (taken != 0 && transmitted_) transmitted_();
  return taken;
}

size_t FakeNic::Receive(std::span<InFrame> frames) {
  size_t filled = 0;
  while (filled < frames.size() && !arrived_.empty()) {
    NicFrame frame = std::move(arrived_.front());
    arrived_.pop_front();
    InFrame& out = frames[filled];
    if (frame.bytes.size() > out.buffer.size()) {
      ++counters_.rx_errors;
      continue;
    }
    if (!frame.bytes.empty()) std::memcpy(out.buffer.data(), frame.bytes.data(), frame.bytes.size());
    out.length = static_cast<uint32_t>(frame.bytes.size());
    out.offload = frame.offload;
    ++counters_.rx_frames;
    counters_.rx_bytes += frame.bytes.size();
    ++filled;
  }
  return filled;
}

}  // namespace librettos::fake
