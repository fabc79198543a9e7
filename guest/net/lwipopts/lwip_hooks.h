/* Where guest/net reaches into lwIP without changing it. Implemented in guest/net/hooks.cc. */
#ifndef LIBRETTOS_LWIP_HOOKS_H
#define LIBRETTOS_LWIP_HOOKS_H

#include "lwip/arch.h"
#include "lwip/err.h"
#include "lwip/ip_addr.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pbuf;
struct netif;
struct tcp_hdr;
struct tcp_pcb;

/* Called with the finished TCP header of every segment that is sent; `pcb` is NULL for a reset of no
 * connection. */
u32_t* librettos_tcp_out(struct pbuf* p, struct tcp_hdr* header, const struct tcp_pcb* pcb, u32_t* options);
/* Called before a received segment is processed; `pcb` may be a listening one. */
err_t librettos_tcp_in(struct tcp_pcb* pcb, struct tcp_hdr* header, struct pbuf* p);
const ip6_addr_t* librettos_nd6_gateway(struct netif* netif, const ip6_addr_t* destination);
/* RFC 6528: not to be guessed by a third party. */
u32_t librettos_tcp_isn(const ip_addr_t* local, u16_t local_port, const ip_addr_t* remote, u16_t remote_port);

#ifdef __cplusplus
}
#endif

#endif
