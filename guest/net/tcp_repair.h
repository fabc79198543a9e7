// What keeps lwIP's retransmission working with segments larger than the MSS.
//
// lwIP sends a queued segment whole or not at all. A large one that no longer fits the congestion window
// (after a timeout it is one MSS) would never be sent again; one that is acknowledged in part would be
// repeated from its start. These functions cut such segments to measure. All are harmless when there is
// nothing to cut, and leave a segment alone whose memory somebody else still refers to.
#pragma once

#include <cstdint>

struct tcp_pcb;

namespace librettos::guest {

// Cuts what the peer has acknowledged off the oldest unsent and the oldest unacknowledged segment. Returns
// the number of bytes, for which lwIP will not call its `sent` callback.
uint32_t TrimAcknowledged(tcp_pcb* pcb);

// Splits the oldest unsent segment so that its head fits the windows. If not even one MSS fits and nothing is
// in flight, its head becomes one MSS, as lwIP's persist timer needs it.
void FitUnsentHead(tcp_pcb* pcb);

// Makes the oldest unacknowledged segment at most one MSS long: that much is repeated by a fast retransmit.
void SplitUnacknowledgedHead(tcp_pcb* pcb);

// Segments that a frame of at most 65535 bytes takes, at most 44.
uint32_t LargeSegmentBytes(const tcp_pcb* pcb);

}  // namespace librettos::guest
