// The functions that lwIP calls outside of its own: time, chance, and the hooks of lwip_hooks.h.
#include <algorithm>
#include <cstring>

#include "guest/net/interface.h"
#include "guest/net/tcp_flow.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"
#include "lwip_hooks.h"

using librettos::guest::Interface;
using librettos::guest::TcpFlow;

namespace {

uint64_t isn_key[2];
bool isn_keyed;

uint64_t Mix(uint64_t state, uint64_t word) {
  // Two rounds of a keyed multiply-xorshift: enough that the next number is not told by the last one.
  state ^= word;
  state *= 0x9e3779b97f4a7c15u;
  state ^= state >> 29;
  state *= 0xbf58476d1ce4e5b9u;
  return state ^ state >> 32;
}

}  // namespace

extern "C" {

void librettos_lwip_panic(const char* message) { librettos::Panic(message); }

uint32_t librettos_lwip_random(void) {
  uint32_t value;
  librettos::Random({reinterpret_cast<std::byte*>(&value), sizeof(value)});
  return value;
}

u32_t sys_now(void) { return static_cast<u32_t>(librettos::Now() / 1'000'000); }

u32_t* librettos_tcp_out(struct pbuf*, struct tcp_hdr* header, const struct tcp_pcb* pcb, u32_t* options) {
  Interface* interface = Interface::instance();
  if (!interface || !pcb || pcb->state == LISTEN) {
    if (interface) interface->NoteSegment(header, 536);
    return options;
  }
  u16_t limit = static_cast<u16_t>(std::min<uint32_t>(interface->SegmentLimit(pcb->remote_ip), TCP_MSS));
  if (pcb->mss > limit) const_cast<struct tcp_pcb*>(pcb)->mss = limit;
  if (TCPH_FLAGS(header) & TCP_SYN) {
    // lwIP writes the MSS option first; what we can take is the link's, not the path's.
    auto* option = reinterpret_cast<uint8_t*>(header + 1);
    if (TCPH_HDRLEN_BYTES(header) >= 24 && option[0] == 2 && option[1] == 4) {
      u16_t mss = static_cast<u16_t>(
          std::min<uint32_t>(interface->mtu() - (IP_IS_V6_VAL(pcb->remote_ip) ? 60 : 40), TCP_MSS));
      option[2] = static_cast<uint8_t>(mss >> 8);
      option[3] = static_cast<uint8_t>(mss);
    }
  }
  uint32_t extra = TCPH_HDRLEN_BYTES(header) - TCP_HLEN;  // RFC 6691: options come off the segment.
  interface->NoteSegment(header, pcb->mss > extra ? pcb->mss - extra : 1);
  return options;
}

err_t librettos_tcp_in(struct tcp_pcb* pcb, struct tcp_hdr*, struct pbuf* p) {
  // To be acknowledged at once (RFC 5681 section 4.2): data that fills a gap, and two segments, which come as
  // one where they are put together on the way. lwIP would delay it; but never a second time.
  if (pcb->state != LISTEN && ((pcb->ooseq && p->tot_len > 0) || p->tot_len > pcb->mss)) {
    tcp_set_flags(pcb, TF_ACK_DELAY);
  }
  if (TcpFlow* flow = TcpFlow::Of(pcb)) flow->BeforeInput();
  return ERR_OK;
}

const ip6_addr_t* librettos_nd6_gateway(struct netif*, const ip6_addr_t*) {
  Interface* interface = Interface::instance();
  return interface ? interface->Gateway6() : nullptr;
}

u32_t librettos_tcp_isn(const ip_addr_t* local, u16_t local_port, const ip_addr_t* remote,
                        u16_t remote_port) {
  if (!isn_keyed) {
    librettos::Random({reinterpret_cast<std::byte*>(isn_key), sizeof(isn_key)});
    isn_keyed = true;
  }
  uint64_t state = Mix(isn_key[0], uint64_t{local_port} << 16 | remote_port);
  for (const ip_addr_t* address : {local, remote}) {
    if (IP_IS_V6(address)) {
      for (u32_t word : ip_2_ip6(address)->addr) state = Mix(state, word);
    } else {
      state = Mix(state, ip_2_ip4(address)->addr);
    }
  }
  state = Mix(state, isn_key[1]);
  return static_cast<u32_t>(state) +
         static_cast<u32_t>(librettos::Now() >> 12);  // A tick every 4 µs (RFC 6528).
}

}  // extern "C"
