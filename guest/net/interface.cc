// Set-up and the sending side; interface_receive.cc has the receiving one.
#include "guest/net/interface.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "guest/net/frame_buffer.h"
#include "guest/net/headers.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip4_frag.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/icmp6.h"
#include "netif/ethernet.h"

namespace librettos::guest {

namespace {

Interface* current;
std::byte flat[kMaxFrameBytes + 1];
std::byte segment_scratch[16 << 10];

// lwIP never fragments TCP below this; what it may not send in one piece is cut in Output4 and Output6.
constexpr u16_t kLwipMtu = 65535;

Interface* Self(netif* self) { return static_cast<Interface*>(self->state); }

}  // namespace

Interface* Interface::instance() { return current; }

Interface* Interface::Create(const NetworkConfig& config, channel::GuestEnd* end,
                             std::atomic<uint64_t>* counters, InterfaceObserver* observer) {
  auto* self = new (std::nothrow) Interface(config, end, counters, observer);
  if (!self) return nullptr;
  current = self;
  self->Configure();
  return self;
}

Interface::~Interface() {
  SetNic(nullptr);
  netif_remove(&netif_);
  for (FrameBuffer* buffer : nic_buffers_) {
    if (buffer) buffer->Free();
  }
  if (current == this) current = nullptr;
}

void Interface::Configure() {
  ip4_addr_t address = {}, mask = {}, gateway = {};
  for (size_t i = 0; i < config_.address_count; i++) {
    const NetworkAddress& entry = config_.addresses[i];
    if (IP_IS_V6(&entry.address)) continue;
    if (address.addr) {
      Log("net: only the first IPv4 address is used; the others are ignored");
      break;
    }
    address = *ip_2_ip4(&entry.address);
    mask.addr = lwip_htonl(entry.prefix ? ~uint32_t{0} << (32 - entry.prefix) : 0);
  }
  if (config_.has_gateway4) gateway = *ip_2_ip4(&config_.gateway4);
  netif_add(&netif_, &address, &mask, &gateway, this, &Interface::Init, &ethernet_input);
  netif_set_default(&netif_);
  if (config_.has_gateway6) ip6_addr_assign_zone(ip_2_ip6(&config_.gateway6), IP6_UNICAST, &netif_);
  netif_create_ip6_linklocal_address(&netif_, 1);
  netif_ip6_addr_set_state(&netif_, 0, IP6_ADDR_PREFERRED);
  for (size_t i = 0; i < config_.address_count; i++) {
    const NetworkAddress& entry = config_.addresses[i];
    if (!IP_IS_V6(&entry.address)) continue;
    s8_t index = -1;
    if (netif_add_ip6_address(&netif_, ip_2_ip6(&entry.address), &index) == ERR_OK && index >= 0) {
      netif_ip6_addr_set_state(&netif_, index, IP6_ADDR_PREFERRED);
    } else {
      Log("net: too many IPv6 addresses; some are ignored");
    }
  }
  netif_set_up(&netif_);
  netif_set_link_up(&netif_);
}

err_t Interface::Init(netif* netif) {
  Interface* self = Self(netif);
  netif->name[0] = 'v';
  netif->name[1] = 'i';
  netif->mtu = kLwipMtu;
  netif->hwaddr_len = 6;
  std::memcpy(netif->hwaddr, self->config_.mac.data(), 6);
  netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
  netif->output = &Interface::Output4;
  netif->output_ip6 = &Interface::Output6;
  netif->linkoutput = &Interface::LinkOutput;
  NETIF_SET_CHECKSUM_CTRL(netif,
                          NETIF_CHECKSUM_ENABLE_ALL & ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP));
  return ERR_OK;
}

void Interface::NoteSegment(const void* tcp_header, uint32_t segment_bytes) {
  noted_header_ = tcp_header;
  noted_segment_ = segment_bytes;
}

const ip6_addr_t* Interface::Gateway6() const {
  return config_.has_gateway6 ? ip_2_ip6(&config_.gateway6) : nullptr;
}

uint32_t Interface::SegmentLimit(const ip_addr_t& destination) const {
  return path_mtu_.Get(destination, config_.mtu, Now()) - (IP_IS_V6(&destination) ? 60 : 40);
}

// UDP that is going to be fragmented: nobody below can finish its checksum.
static void FinishUdp(pbuf* p, const ip_addr_t& from, const ip_addr_t& to, u16_t header) {
  if (pbuf_remove_header(p, header)) return;
  auto* bytes = static_cast<std::byte*>(p->payload);
  if (p->len >= 8) {
    std::memset(bytes + 6, 0, 2);
    u16_t sum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, &from, &to);
    if (sum == 0) sum = 0xffff;
    std::memcpy(bytes + 6, &sum, 2);
  }
  pbuf_add_header(p, header);
}

err_t Interface::Output4(netif* netif, pbuf* p, const ip4_addr_t* destination) {
  Interface* self = Self(netif);
  auto* header = static_cast<ip_hdr*>(p->payload);
  if (p->tot_len > self->config_.mtu || p->tot_len > PathMtu::kMinimum4) {
    ip_addr_t to;
    ip_addr_copy_from_ip4(to, *destination);
    uint32_t mtu = self->path_mtu_.Get(to, self->config_.mtu, Now());
    if (p->tot_len > mtu && IPH_PROTO(header) != IP_PROTO_TCP) {
      ip_addr_t from;
      ip_addr_copy_from_ip4(from, header->src);
      if (IPH_PROTO(header) == IP_PROTO_UDP && (IPH_OFFSET(header) & PP_HTONS(IP_OFFMASK)) == 0) {
        FinishUdp(p, from, to, IPH_HL_BYTES(header));
      }
      netif->mtu = static_cast<u16_t>(mtu);
      err_t result = ip4_frag(p, netif, destination);
      netif->mtu = kLwipMtu;
      return result;
    }
  }
  if (IPH_PROTO(header) == IP_PROTO_TCP) IPH_OFFSET_SET(header, PP_HTONS(IP_DF));
  if (IPH_PROTO(header) == IP_PROTO_TCP) {
    // Set after lwIP summed the header: path MTU discovery (RFC 1191) needs it.
    IPH_CHKSUM_SET(header, 0);
    IPH_CHKSUM_SET(header, inet_chksum(header, IPH_HL_BYTES(header)));
  }
  return etharp_output(netif, p, destination);
}

err_t Interface::Output6(netif* netif, pbuf* p, const ip6_addr_t* destination) {
  Interface* self = Self(netif);
  auto* header = static_cast<ip6_hdr*>(p->payload);
  if (p->tot_len > PathMtu::kMinimum6 && IP6H_NEXTH(header) != IP6_NEXTH_TCP) {
    ip_addr_t to;
    ip_addr_copy_from_ip6(to, *destination);
    uint32_t mtu = self->path_mtu_.Get(to, self->config_.mtu, Now());
    if (p->tot_len > mtu) return self->Fragment6(p, destination, mtu);
  }
  return ethip6_output(netif, p, destination);
}

err_t Interface::Fragment6(pbuf* p, const ip6_addr_t* destination, uint32_t mtu) {
  static uint32_t identification = LWIP_RAND();
  auto* original = static_cast<ip6_hdr*>(p->payload);
  if (IP6H_NEXTH(original) == IP6_NEXTH_UDP) {
    ip_addr_t from, to;
    ip_addr_copy_from_ip6_packed(from, original->src);
    ip_addr_copy_from_ip6_packed(to, original->dest);
    FinishUdp(p, from, to, IP6_HLEN);
  }
  identification++;
  const uint32_t room = (mtu - IP6_HLEN - 8) & ~7u;
  for (uint32_t at = IP6_HLEN; at < p->tot_len; at += room) {
    uint32_t bytes = std::min<uint32_t>(room, p->tot_len - at);
    bool last = at + bytes == p->tot_len;
    pbuf* piece = pbuf_alloc(PBUF_LINK, static_cast<u16_t>(IP6_HLEN + 8 + bytes), PBUF_RAM);
    if (!piece) return ERR_MEM;
    auto* out = static_cast<std::byte*>(piece->payload);
    pbuf_copy_partial(p, out, IP6_HLEN, 0);
    out[6] = std::byte{IP6_NEXTH_FRAGMENT};
    Store16(out + 4, static_cast<uint16_t>(8 + bytes));
    out[40] = static_cast<std::byte>(IP6H_NEXTH(original));
    out[41] = std::byte{0};
    Store16(out + 42, static_cast<uint16_t>((at - IP6_HLEN) | (last ? 0 : 1)));
    Store32(out + 44, identification);
    pbuf_copy_partial(p, out + 48, static_cast<u16_t>(bytes), static_cast<u16_t>(at));
    err_t result = ethip6_output(&netif_, piece, destination);
    pbuf_free(piece);
    if (result != ERR_OK) return result;
  }
  return ERR_OK;
}

err_t Interface::LinkOutput(netif* netif, pbuf* p) { return Self(netif)->Send(p); }

err_t Interface::Send(pbuf* p) {
  uint32_t segment = config_.mtu;
  auto* header = static_cast<std::byte*>(p->payload);
  Layout layout = Dissect(header, p->len);
  if (layout.protocol == kProtocolTcp) {
    if (header + layout.transport == noted_header_) {
      segment = noted_segment_;
    } else {
      // From the ARP or ND queue: the connection's own MSS is not at hand, the path's is safe.
      ip_addr_t to = {};
      if (layout.ipv6) {
        IP_SET_TYPE_VAL(to, IPADDR_TYPE_V6);
        std::memcpy(&ip_2_ip6(&to)->addr, header + 38, 16);
      } else {
        std::memcpy(&ip_2_ip4(&to)->addr, header + 30, 4);
      }
      segment = std::min<uint32_t>(SegmentLimit(to), 536);
    }
  }
  if (!transmit_.Set(p, std::max<uint32_t>(segment, 1))) {
    Count(Counter::k_tx_dropped);
    return ERR_VAL;
  }
  const OutFrame& frame = transmit_.out();
  const uint32_t pair = PairOf(p);
  Route way = overriding_ ? override_route_ : route_;
  bool free_way = way != Route::kHold && (overriding_ || (holding_.empty(pair) && pieces_.empty()));
  if (free_way && TrySend(frame, way, pair)) return ERR_OK;
  if (transmit_.tcp_data()) {
    starved_[pair] = true;
    return ERR_MEM;
  }
  if (holding_.Push(frame, pair)) return ERR_OK;
  Count(Counter::k_tx_dropped);
  return ERR_MEM;
}

uint32_t Interface::PairOf(const pbuf* p) {
  if (sender_.pairs() == 1) return 0;
  const auto* header = static_cast<const std::byte*>(p->payload);
  if (p->len >= FlowPair::kHeaderBytes || !p->next) return flow_pair_.Of({header, p->len});
  // lwIP refers to the payload of a fragment.
  std::byte start[FlowPair::kHeaderBytes];
  return flow_pair_.Of({start, pbuf_copy_partial(p, start, sizeof(start), 0)});
}

bool Interface::TrySend(const OutFrame& frame, Route way, uint32_t pair) {
  if (way == Route::kNic) {
    if (!nic_ || !TrySendNic(frame)) return false;
  } else {
    if (!sender_.Put(pair, frame)) return false;
  }
  Count(Counter::k_tx_frames);
  Count(Counter::k_tx_bytes, frame.length);
  return true;
}

bool Interface::TrySendNic(const OutFrame& frame) {
  if (!pieces_.empty()) return false;
  const NicFeatures features = nic_->features();
  bool whole = (!frame.offload.needs_checksum || features.checksum) &&
               (frame.offload.segmentation == Segmentation::kNone || features.segmentation);
  if (whole) {
    return nic_->Transmit({&frame, 1}) == 1;
  }
  size_t at = 0;
  for (const Part& part : frame.parts) {
    std::memcpy(flat + at, part.data, part.length);
    at += part.length;
  }
  FinishInSoftware({flat, frame.length}, frame.offload, segment_scratch, this);
  return true;
}

void Interface::OnSegment(std::span<const std::byte> segment) {
  Part part{segment.data(), static_cast<uint32_t>(segment.size())};
  OutFrame frame{{&part, 1}, part.length, {}};
  if (pieces_.empty() && nic_->Transmit({&frame, 1}) == 1) return;
  // The rest of a frame that was begun waits in front of whatever comes; finished, it goes any way as it is.
  if (!pieces_.Push(frame)) Count(Counter::k_tx_dropped);
}

Status Interface::SendLease(const channel::ControlMessage& message) {
  return sender_.PutControl(flow_pair_.OfPort(message.port), message);
}

Status Interface::SendToAll(const channel::ControlMessage& message) {
  Status result;
  for (uint32_t pair = 0; pair < sender_.pairs(); pair++) {
    Status status = sender_.PutControl(pair, message);
    if (!status.ok()) result = status;
  }
  return result;
}

void Interface::SetRoute(Route route) {
  route_ = route;
  if (route != Route::kHold) in_use_ = route;
}

void Interface::Flush() {
  while (!pieces_.empty() && route_ != Route::kHold) {
    OutFrame frame = pieces_.front();
    bool sent = route_ == Route::kNic
                    ? nic_ && nic_->Transmit({&frame, 1}) == 1
                    : sender_.Put(flow_pair_.Of({frame.parts[0].data, frame.parts[0].length}), frame);
    if (!sent) break;
    pieces_.Pop();
  }
  bool room = false;
  for (uint32_t pair = 0; pair < sender_.pairs() && route_ != Route::kHold; pair++) {
    while (pieces_.empty() && !holding_.empty(pair) && TrySend(holding_.front(pair), route_, pair)) {
      holding_.Pop(pair);
    }
    if (!starved_[pair] || !holding_.empty(pair) || !pieces_.empty()) continue;
    starved_[pair] = false;
    room = true;
  }
  Count(Counter::k_events_sent, sender_.Publish());
  if (room) observer_->OnRoom();
}

}  // namespace librettos::guest
