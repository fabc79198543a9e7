#include "guest/net/udp_flow.h"

#include "guest/net/headers.h"
#include "guest/net/interface.h"
#include "lwip/netif.h"
#include "lwip/udp.h"

namespace librettos::guest {

namespace {

bool IsOurs(const ip_addr_t& address, const netif* netif) {
  if (!IP_IS_V6_VAL(address)) return ip4_addr_cmp(ip_2_ip4(&address), netif_ip4_addr(netif));
  for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
    if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) &&
        ip6_addr_cmp_zoneless(ip_2_ip6(&address), netif_ip6_addr(netif, i))) {
      return true;
    }
  }
  return false;
}

}  // namespace

void UdpFlow::Attach(udp_pcb* pcb) { udp_recv(pcb, &UdpFlow::Receive, this); }

void UdpFlow::Receive(void* self, udp_pcb*, pbuf* p, const ip_addr_t* from, uint16_t port) {
  // lwIP takes all that IP brought for the datagram, and an IPv6 datagram without a checksum. The header lies
  // in front of the payload.
  const std::byte* header = static_cast<const std::byte*>(p->payload) - UDP_HLEN;
  const uint32_t length = Load16(header + 4);
  // RFC 8200 section 8.1. What the guest sends to itself has none, and is not checked.
  const bool unsigned6 = IP_IS_V6_VAL(*from) && Load16(header + 6) == 0 &&
                         (ip_current_input_netif()->chksum_flags & NETIF_CHECKSUM_CHECK_UDP) != 0;
  if (unsigned6 || length < UDP_HLEN || length - UDP_HLEN > p->tot_len) {
    if (Interface* interface = Interface::instance()) interface->Count(Counter::k_rx_dropped);
    pbuf_free(p);
    return;
  }
  pbuf_realloc(p, static_cast<u16_t>(length - UDP_HLEN));
  static_cast<UdpFlow*>(self)->OnDatagram(p, *from, port);
}

bool UdpFlow::Tell(const IcmpError& error, const netif* netif) {
  if (!error.quotes || error.protocol != kProtocolUdp || error.kind != IcmpError::Kind::kUnreachable ||
      !IsOurs(error.from, netif)) {
    return false;
  }
  for (udp_pcb* pcb = udp_pcbs; pcb; pcb = pcb->next) {
    if (!(pcb->flags & UDP_FLAGS_CONNECTED) || pcb->recv != &UdpFlow::Receive) continue;
    if (pcb->local_port != error.local_port || pcb->remote_port != error.remote_port) continue;
    if (!ip_addr_cmp_zoneless(&pcb->remote_ip, &error.to)) continue;
    if (!ip_addr_isany_val(pcb->local_ip) && !ip_addr_cmp_zoneless(&pcb->local_ip, &error.from)) continue;
    static_cast<UdpFlow*>(pcb->recv_arg)->OnUnreachable();
    return true;
  }
  return false;
}

}  // namespace librettos::guest
