// Turns a frame that lwIP built into one for the lower side: parts to gather, and what is left to hardware.
#pragma once

#include "guest/platform/frame.h"
#include "lwip/pbuf.h"

namespace librettos::guest {

class TransmitFrame {
 public:
  static constexpr size_t kMaxParts = 64;

  // `frame` starts with the Ethernet header; headers up to TCP's or UDP's payload lie in its first pbuf, as
  // lwIP builds them. Writes the partial checksum (the pseudo-header's sum) into it. `segment_bytes`: TCP
  // payload per packet on the wire. False: longer than kMaxFrameBytes.
  bool Set(pbuf* frame, uint32_t segment_bytes);
  const OutFrame& out() const { return out_; }
  bool tcp_data() const { return tcp_data_; }

 private:
  Part parts_[kMaxParts];
  OutFrame out_;
  bool tcp_data_ = false;
};

}  // namespace librettos::guest
