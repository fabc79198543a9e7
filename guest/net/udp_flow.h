// One UDP endpoint above lwIP: gets its datagrams, and what ICMP says of those that it sent, which lwIP does
// not tell.
//
// As on Linux, only a connected endpoint hears of errors: of another one nobody could tell which datagram was
// meant.
#pragma once

#include "guest/net/icmp_error.h"
#include "guest/platform/result.h"

struct netif;
struct pbuf;
struct udp_pcb;

namespace librettos::guest {

class UdpFlow {
 public:
  UdpFlow() = default;
  UdpFlow(const UdpFlow&) = delete;

  // Hands `error` to the flow whose packet it quotes: protocol, both addresses and both ports fit. False:
  // there is none.
  static bool Tell(const IcmpError& error, const netif* netif);

 protected:
  ~UdpFlow() = default;
  // `pcb`'s datagrams come to this flow from now on, until the pcb is removed.
  void Attach(udp_pcb* pcb);
  // A whole datagram, as long as its header says. It is the flow's to free.
  virtual void OnDatagram(pbuf* p, const ip_addr_t& from, uint16_t port) = 0;
  // From inside the receiving of a frame: must not call lwIP.
  virtual void OnUnreachable() = 0;

 private:
  static void Receive(void* self, udp_pcb* pcb, pbuf* p, const ip_addr_t* from, uint16_t port);
};

}  // namespace librettos::guest
