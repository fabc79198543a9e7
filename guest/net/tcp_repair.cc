#include "guest/net/tcp_repair.h"

#include <algorithm>
#include <cstring>

#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

namespace librettos::guest {

namespace {

constexpr uint32_t kMaxSegments = 44;
constexpr uint32_t kMaxPayload = 65535 - 14 - 40 - 60;

uint32_t TrimHead(tcp_pcb* pcb, tcp_seg* segment) {
  if (!segment || segment->p->ref != 1 || segment->len == 0) return 0;
  if (TCPH_FLAGS(segment->tcphdr) & TCP_SYN) return 0;
  uint32_t sequence = lwip_ntohl(segment->tcphdr->seqno);
  if (!TCP_SEQ_LT(sequence, pcb->lastack)) return 0;
  uint32_t bytes = std::min<uint32_t>(pcb->lastack - sequence, segment->len);

  pbuf* p = segment->p;
  auto* header = reinterpret_cast<uint8_t*>(segment->tcphdr);
  uint32_t header_bytes = TCPH_HDRLEN_BYTES(segment->tcphdr);
  auto offset = static_cast<uint32_t>(header - static_cast<uint8_t*>(p->payload)) + header_bytes;
  uint32_t here = std::min<uint32_t>(bytes, p->len - offset);
  if (here > 0) {
    // Header and data lie together: the header moves up to the data that stays.
    std::memmove(header + here, header, header_bytes);
    segment->tcphdr = reinterpret_cast<tcp_hdr*>(header + here);
    p->payload = static_cast<uint8_t*>(p->payload) + here;
    p->len = static_cast<u16_t>(p->len - here);
  }
  p->tot_len = static_cast<u16_t>(p->tot_len - bytes);
  uint32_t rest = bytes - here;
  while (rest > 0) {
    pbuf* q = p->next;
    if (q->len <= rest) {
      rest -= q->len;
      p->next = q->next;
      q->next = nullptr;
      q->tot_len = q->len;
      pbuf_free(q);
      pcb->snd_queuelen--;
    } else {
      q->payload = static_cast<uint8_t*>(q->payload) + rest;
      q->len = static_cast<u16_t>(q->len - rest);
      q->tot_len = static_cast<u16_t>(q->tot_len - rest);
      rest = 0;
    }
  }
  segment->tcphdr->seqno = lwip_htonl(sequence + bytes);
  segment->len = static_cast<u16_t>(segment->len - bytes);
  pcb->snd_buf += bytes;
  return bytes;
}

// tcp_split_unsent_seg() asserts that the split is no longer than the MSS.
void Split(tcp_pcb* pcb, uint32_t bytes) {
  u16_t mss = pcb->mss;
  pcb->mss = static_cast<u16_t>(std::max<uint32_t>(mss, bytes));
  tcp_split_unsent_seg(pcb, static_cast<u16_t>(bytes));  // Without memory nothing changes; tried again later.
  pcb->mss = mss;
}

}  // namespace

uint32_t TrimAcknowledged(tcp_pcb* pcb) { return TrimHead(pcb, pcb->unacked) + TrimHead(pcb, pcb->unsent); }

void FitUnsentHead(tcp_pcb* pcb) {
  tcp_seg* segment = pcb->unsent;
  if (!segment || segment->p->ref != 1 || segment->len <= pcb->mss) return;
  uint32_t window = std::min(pcb->snd_wnd, pcb->cwnd);
  uint32_t ahead = lwip_ntohl(segment->tcphdr->seqno) - pcb->lastack;
  if (ahead + segment->len <= window) return;
  uint32_t allowed = ahead < window ? window - ahead : 0;
  if (allowed >= pcb->mss) {
    Split(pcb, allowed - allowed % pcb->mss);
  } else if (!pcb->unacked) {
    Split(pcb, pcb->mss);
  }
}

void SplitUnacknowledgedHead(tcp_pcb* pcb) {
  tcp_seg* segment = pcb->unacked;
  if (!segment || segment->p->ref != 1 || segment->len <= pcb->mss) return;
  // lwIP splits the head of the unsent list only: lend it this one.
  tcp_seg* unsent = pcb->unsent;
  pcb->unsent = segment;
  Split(pcb, pcb->mss);
  pcb->unacked = pcb->unsent;
  pcb->unsent = unsent;
}

uint32_t LargeSegmentBytes(const tcp_pcb* pcb) {
  uint32_t mss = std::max<uint32_t>(pcb->mss, 1);
  return std::clamp<uint32_t>(kMaxPayload / mss, 1, kMaxSegments) * mss;
}

}  // namespace librettos::guest
