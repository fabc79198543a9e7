// The transmit rings of a channel, all queue pairs together: what was put, what is published, what the server
// is done with. Nothing is visible to the server before Publish.
#pragma once

#include <array>
#include <cstdint>

#include "guest/channel/guest_end.h"

namespace librettos::guest {

class ChannelSender {
 public:
  // How many ring entries were put into each pair so far.
  struct Position {
    std::array<uint64_t, channel::kMaxQueuePairs> put = {};
  };

  explicit ChannelSender(channel::GuestEnd* end) : end_(end) {}

  uint32_t pairs() const { return end_->geometry().queue_pairs; }
  bool Put(uint32_t pair, const OutFrame& frame);
  Status PutControl(uint32_t pair, const channel::ControlMessage& message);
  // Publishes and signals; returns how many doorbells were rung.
  uint32_t Publish();

  const Position& position() const { return position_; }
  // The server is done with everything that had been put at `position`.
  bool Passed(const Position& position);
  // The server is done with everything.
  bool Drained();

  // Wants an event when `entries` more fit, or when anything is consumed of a pair that is not drained.
  // False: it is so already, do not sleep.
  bool ArmRoom(uint32_t pair, uint32_t entries);
  bool ArmDrained();
  void Disarm();
  // The rings were replaced by empty ones (GuestEnd::Renew).
  void OnRenewed() { unpublished_ = {}; }

 private:
  channel::GuestEnd* const end_;
  Position position_;
  std::array<bool, channel::kMaxQueuePairs> unpublished_ = {};
};

}  // namespace librettos::guest
