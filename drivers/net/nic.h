// A network interface card: moves frames to and from the wire.
//
// Single-threaded but for Send; never blocks. The wire's frames are hostile: a driver hands them on as they
// are, with an Offload whose offsets it checked to lie within the frame.
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
  // As Transmit, from any CPU of the domain and while any other call is under way. A device that is full
  // calls nobody for it: the caller tries again by itself.
  virtual size_t Send(std::span<const OutFrame> frames) = 0;
  // Receives into `frames`, in order; returns how many were filled. Fewer than all: nothing more is there
  // now, and the handler is called when there is.
  virtual size_t Receive(std::span<InFrame> frames) = 0;
  // `handler` is called from Loop::Wait when frames can be received (or sent again). nullptr: no calls, so
  // that a busy loop that polls pays no wake-up. Level-triggered.
  virtual void SetHandler(Handler* handler) = 0;
  // On: receives what is sent to anybody and any group, as a server needs that answers for its guests'
  // addresses. Off (at first): what is sent to address(), to all (broadcast) and to the groups that were set.
  // A NIC without such filters receives all, always.
  virtual void SetPromiscuous(bool) {}
  // The groups (multicast addresses) to receive, instead of those set before; at first none. A NIC may
  // receive some others, too. Frames under way during the call may be filtered by either.
  virtual void SetGroups(std::span<const MacAddress>) {}
  // The next bit of the closing, so that the domain's loop goes on meanwhile; it does not wait. True: the
  // NIC is to be deleted now, which takes no time. From the first call on nothing else is called; what is to
  // be sent still goes out. It ends within a second of steps. One that is deleted before does the rest
  // then, and waits.
  virtual bool CloseStep() { return true; }
};

}  // namespace librettos
