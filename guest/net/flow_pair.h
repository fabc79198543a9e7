// Which queue pair of the channel a frame of ours leaves by: all frames of a flow take the same one, so that
// they stay in order.
//
// Addresses and ports decide. With an address that guests share, the local port alone does: then the messages
// about a port's lease, which take that pair, too, neither overtake the port's frames nor are overtaken.
// Fragments follow the first one of their datagram; the stack sends them one after the other. What is not
// TCP or UDP goes by its addresses, and what is not IP by pair 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos::guest {

class FlowPair {
 public:
  static constexpr size_t kHeaderBytes = 14 + 60 + 4;  // Enough for any decision.

  FlowPair(uint32_t pairs, bool shared) : pairs_(pairs), shared_(shared) {}

  // `headers`: the frame's first bytes, from our own stack; kHeaderBytes or the whole frame.
  uint32_t Of(std::span<const std::byte> headers);
  // Of frames from local port `port` of a shared address.
  uint32_t OfPort(uint16_t port) const { return Pick(port); }

 private:
  uint32_t Pick(uint64_t mixed) const {
    // Multiplicative hashing: the high bits of the product depend on all bits of the input.
    return static_cast<uint32_t>((mixed * 0xd6e8feb86659fd93) >> 40) % pairs_;
  }

  const uint32_t pairs_;
  const bool shared_;
  uint32_t fragment_pair_ = 0;  // Of the last first fragment.
};

}  // namespace librettos::guest
