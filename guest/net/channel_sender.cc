#include "guest/net/channel_sender.h"

#include <algorithm>

#include "guest/platform/fault_point.h"

namespace librettos::guest {

bool ChannelSender::Put(uint32_t pair, const OutFrame& frame) {
  auto& ring = end_->transmit(pair);
  if (!ring.Put(frame).ok()) return false;
  unpublished_[pair] = true;
  position_.put[pair] += ring.EntriesFor(frame.length);
  return true;
}

Status ChannelSender::PutControl(uint32_t pair, const channel::ControlMessage& message) {
  Status status = end_->transmit(pair).PutControl(message);
  if (!status.ok()) return status;
  unpublished_[pair] = true;
  position_.put[pair]++;
  return {};
}

uint32_t ChannelSender::Publish() {
  uint32_t rung = 0;
  for (uint32_t pair = 0; pair < pairs(); pair++) {
    if (!unpublished_[pair]) continue;
    unpublished_[pair] = false;
    FAULT_POINT("guest.put");
    if (!end_->transmit(pair).Publish()) continue;
    FAULT_POINT("guest.published");
    end_->Signal(pair);
    rung++;
  }
  return rung;
}

bool ChannelSender::Passed(const Position& position) {
  const uint32_t entries = end_->geometry().entries;
  for (uint32_t pair = 0; pair < pairs(); pair++) {
    const uint64_t inside = entries - end_->transmit(pair).Space(entries);
    if (position_.put[pair] - std::min(position_.put[pair], inside) < position.put[pair]) return false;
  }
  return true;
}

bool ChannelSender::Drained() {
  for (uint32_t pair = 0; pair < pairs(); pair++) {
    if (unpublished_[pair] || !end_->transmit(pair).Drained()) return false;
  }
  return true;
}

bool ChannelSender::ArmRoom(uint32_t pair, uint32_t entries) {
  return end_->transmit(pair).ArmEvent(entries);
}

bool ChannelSender::ArmDrained() {
  for (uint32_t pair = 0; pair < pairs(); pair++) {
    auto& ring = end_->transmit(pair);
    if (!ring.Drained() && !ring.ArmEvent(end_->geometry().entries)) return false;
  }
  return true;
}

void ChannelSender::Disarm() {
  for (uint32_t pair = 0; pair < pairs(); pair++) end_->transmit(pair).DisarmEvent();
}

}  // namespace librettos::guest
