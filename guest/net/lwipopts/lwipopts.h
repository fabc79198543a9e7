/* How lwIP 2.1.3 is configured for guests: one loop, no operating system, large segments both ways.
 * Why each value is what it is: next to it where it is not obvious. Read together with arch/cc.h (what lwIP
 * needs of its surroundings) and lwip_hooks.h (where guest/net reaches in). */
#ifndef LIBRETTOS_LWIPOPTS_H
#define LIBRETTOS_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_NETIF_API 0
#define LWIP_TIMERS 1

/* Memory comes from the platform's malloc (arch/cc.h); pool sizes are then no limits. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define MEMP_NUM_SYS_TIMEOUT 16

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_ICMP 1
#define LWIP_ICMP6 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_RAW 0
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_IPV6_MLD 1 /* Switches that snoop need it for solicited-node groups. */
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_IPV6_SCOPES 1
#define LWIP_IPV6_NUM_ADDRESSES 8
/* Addresses are assigned by the daemon, which knows that they are unique (and a shared one is on every
 * guest). */
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0 /* The binding owns the MTU. */
#define LWIP_ND6_QUEUEING 1
#define LWIP_ND6_NUM_NEIGHBORS 127 /* lwIP counts them with s8_t: 128 would turn its timer for ever. */
#define LWIP_ND6_NUM_DESTINATIONS 127
#define MEMP_NUM_ND6_QUEUE 64
#define ARP_TABLE_SIZE 127 /* s8_t index. */
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 16
#define ETHARP_TABLE_MATCH_NETIF 1
#define ETHARP_TRUST_IP_MAC 0

#define IP_FRAG 1
#define IP_REASSEMBLY 1
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* Required where pointers have 64 bits. */
#define IP_REASS_MAX_PBUFS 512
#define MEMP_NUM_REASSDATA 64
#define IP_FORWARD 0
#define IP_OPTIONS_ALLOWED 1
#define IP_SOF_BROADCAST 0
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 1

#define LWIP_NETIF_LOOPBACK 1
#define LWIP_HAVE_LOOPIF 1
#define LWIP_LOOPBACK_MAX_PBUFS 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_NETIF_HWADDRHINT 0

/* A pbuf kept beyond a call (ARP and ND queues) must own its bytes: TCP data is referenced, and may go. */
#define PBUF_NEEDS_COPY(p) (((p)->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) == 0)
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_POOL_BUFSIZE 2048

/* TCP. The MSS is that of a 9000 byte MTU; the binding clamps it to the real one (segmenter.h). */
#define TCP_MSS 8960
#define TCP_CALCULATE_EFF_SEND_MSS 0
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024)
#define TCP_SND_BUF (4 * 1024 * 1024)
#define TCP_SND_QUEUELEN 60000
#define TCP_SNDLOWAT (64 * 1024)
#define TCP_SNDQUEUELOWAT 1000
#define TCP_OVERSIZE 0
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (4 * 1024 * 1024)
#define TCP_OOSEQ_MAX_PBUFS 4096
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_WND_UPDATE_THRESHOLD (16 * 1460)
#define TCP_LISTEN_BACKLOG 0 /* 8 bits are too few; guest/sockets counts for itself. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define SO_REUSE 1
/* The retransmission timer's floor is three slow ticks = 6 fast ones: 35 ms make 210 ms, above the delayed
 * acknowledgement of current peers (RFC 6298 wants 1 s, everybody uses 200 ms). */
#define TCP_TMR_INTERVAL 35
#define TCP_MSL 15000UL
#define TCP_MAXRTX 12
#define TCP_SYNMAXRTX 6
#define LWIP_RANDOMIZE_INITIAL_LOCAL_PORTS 1
#define UDP_TTL 64
#define TCP_TTL 64
#define ICMP_TTL 64
#define LWIP_ICMP6_HL 64

/* Checksums: outward TCP's and UDP's are left to the lower side (segmenter.h); inward it is decided per
 * frame. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHKSUM_ALGORITHM 3

#define LWIP_STATS 1
#define LWIP_STATS_DISPLAY 0
#define LWIP_STATS_LARGE 1
#define LWIP_NETIF_STATUS_CALLBACK 0
#define LWIP_SINGLE_NETIF 0

#define LWIP_HOOK_FILENAME "lwip_hooks.h"
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, hdr, pcb, opts) librettos_tcp_out(p, hdr, pcb, opts)
#define LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, internal) (internal)
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) librettos_tcp_in(pcb, hdr, p)
#define LWIP_HOOK_ND6_GET_GW(netif, dest) librettos_nd6_gateway(netif, dest)
#define LWIP_HOOK_TCP_ISN(la, lp, ra, rp) librettos_tcp_isn(la, lp, ra, rp)

#endif
