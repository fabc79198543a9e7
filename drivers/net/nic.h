// A network interface card: moves frames to and from the wire.
//
// Single-threaded; never blocks. The wire's frames are hostile: a driver hands them on as they are, with an
// Offload whose offsets it checked to lie within the frame.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "guest/platform/frame.h"
#include "guest/platform/platform.h"

namespace librettos {

struct NicFeatures {
  bool checksum = false;       // Takes and gives frames with needs_checksum.
  bool segmentation = false;   // Takes TCP frames of up to kMaxFrameBytes (IPv4 and IPv6).
  bool large_receive = false;  // Gives such frames.
};

struct NicCounters {
  uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0;
  uint64_t rx_errors = 0;  // Frames from the wire that could not be taken (bad header, too long).
  uint64_t tx_errors = 0;  // Frames that the device refused for good (counted as sent: they are consumed).
};

class Nic {
 public:
  virtual ~Nic() = default;
  virtual MacAddress address() const = 0;
  virtual uint32_t mtu() const = 0;
  virtual NicFeatures features() const = 0;
  virtual const NicCounters& counters() const = 0;
  // Sends frames in order; returns how many were taken (0 to frames.size()). A taken frame is with the
  // device: its parts may be reused. Fewer than all: the device is full; the handler is called when it has
  // room.
  virtual size_t Transmit(std::span<const OutFrame> frames) = 0;
  // Receives into `frames`, in order; returns how many were filled. Fewer than all: nothing more is there
  // now, and the handler is called when there is.
  virtual size_t Receive(std::span<InFrame> frames) = 0;
  // `handler` is called from Loop::Wait when frames can be received (or sent again). nullptr: no calls, so
  // that a busy loop that polls pays no wake-up. Level-triggered.
  virtual void SetHandler(Handler* handler) = 0;
  // On: receives what is sent to anybody, as a server needs that answers for its guests' addresses. Off (at
  // first): what is sent to address() and to groups. A NIC without such a filter receives all, always.
  virtual void SetPromiscuous(bool) {}
};

// Opens `device` with the driver for its kind. The Nic is deleted by the caller before Devices::Return.
Result<Nic*> OpenNic(Platform& platform, const Device& device);

}  // namespace librettos
