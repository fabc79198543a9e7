// The receiving side of the interface, announcements and sleeping.
#include <algorithm>
#include <cstring>

#include "guest/net/frame_buffer.h"
#include "guest/net/headers.h"
#include "guest/net/interface.h"
#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/icmp6.h"
#include "lwip/stats.h"
#include "netif/ethernet.h"

namespace librettos::guest {

namespace {
constexpr uint32_t kFrameBudget = 64;  // Per way and turn: timers and the program must get their share.
constexpr uint32_t kRoom = 40;         // Entries free again before it is worth waking: a large frame's.
}  // namespace

bool Interface::Receive() {
  bool any = ReceiveChannel();
  any |= ReceiveNic();
  if (netif_.loop_first) any = true;
  // What the guest sends to itself never had a checksum.
  NETIF_SET_CHECKSUM_CTRL(&netif_, NETIF_CHECKSUM_DISABLE_ALL);
  netif_poll_all();
  NETIF_SET_CHECKSUM_CTRL(&netif_,
                          NETIF_CHECKSUM_ENABLE_ALL & ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP));
  return any;
}

bool Interface::ReceiveChannel() {
  bool any = false;
  for (uint32_t pair = 0; pair < end_->geometry().queue_pairs; pair++) {
    auto& ring = end_->receive(pair);
    uint32_t entries = 0;
    for (uint32_t i = 0; i < kFrameBudget && ring.Peek(received_); i++) {
      any = true;
      entries += received_.entries;
      if (received_.control) {
        observer_->OnControl(received_.message);
        continue;
      }
      FrameBuffer* buffer = FrameBuffer::Allocate(received_.length);
      if (!buffer) {
        Count(Counter::k_rx_dropped);
        continue;
      }
      received_.CopyTo(buffer->data());
      Input(buffer, received_.length, received_.offload, Route::kChannel);
    }
    if (entries > 0 && ring.Commit(entries)) {
      end_->Signal(pair);
      Count(Counter::k_events_sent);
    }
    if (ring.violation() != channel::Violation::kNone && !violated_) {
      violated_ = true;
      Count(Counter::k_server_violations);
      Log("net: the server broke the channel's rules; nothing more is taken from it");
    }
  }
  return any;
}

bool Interface::ReceiveNic() {
  if (!nic_) return false;
  InFrame frames[kNicBatch];
  const uint32_t capacity = nic_->features().large_receive ? kMaxFrameBytes + 1 : nic_->mtu() + 64;
  size_t ready = 0;
  for (; ready < kNicBatch; ready++) {
    FrameBuffer*& buffer = nic_buffers_[ready];
    if (buffer && buffer->capacity() < capacity) {
      buffer->Free();
      buffer = nullptr;
    }
    if (!buffer) buffer = FrameBuffer::Allocate(capacity);
    if (!buffer) break;
    frames[ready].buffer = {buffer->data(), buffer->capacity()};
  }
  Nic* nic = nic_;
  size_t got = nic->Receive({frames, ready});
  for (size_t i = 0; i < got; i++) {
    FrameBuffer* buffer = nic_buffers_[i];
    nic_buffers_[i] = nullptr;
    Input(buffer, frames[i].length, frames[i].offload, Route::kNic);
  }
  if (got > 0) nic_received_at_ = Now();
  return got > 0;
}

void Interface::Input(FrameBuffer* buffer, uint32_t length, const Offload& offload, Route from) {
  Count(Counter::k_rx_frames);
  Count(Counter::k_rx_bytes, length);
  std::byte* frame = buffer->data();
  bool group = length > 0 && (Load8(frame) & 1);
  bool own = !config_.shared && length >= 12 && std::memcmp(frame + 6, config_.mac.data(), 6) == 0;
  // While both ways are open a group frame comes twice; our own may come back by the other way.
  bool twice = group && from != in_use_;
  if (length < kEthernetHeaderBytes || length > buffer->capacity() || length > kMaxFrameBytes || own ||
      twice || LearnMtu(frame, length)) {
    if (!own && !twice) Count(Counter::k_rx_dropped);
    buffer->Free();
    return;
  }
  pbuf* p = buffer->ToPbuf(length);
  if (!p) return Count(Counter::k_rx_dropped);
  u16_t flags = NETIF_CHECKSUM_ENABLE_ALL & ~(NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP);
  if (offload.needs_checksum || offload.checksum_valid) {
    flags &= static_cast<u16_t>(~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP));
  }
  NETIF_SET_CHECKSUM_CTRL(&netif_, flags);
  if (netif_.input(p, &netif_) != ERR_OK) {
    pbuf_free(p);
    Count(Counter::k_rx_dropped);
  }
  SetCounter(Counter::k_rx_checksum_errors, lwip_stats.tcp.chkerr + lwip_stats.udp.chkerr +
                                                lwip_stats.ip.chkerr + lwip_stats.icmp.chkerr +
                                                lwip_stats.icmp6.chkerr);
}

// ICMP says that a path is narrower (RFC 1191 section 4, RFC 4443 section 3.2). True: dealt with, not for
// lwIP, which would cut large TCP segments into IP fragments.
bool Interface::LearnMtu(const std::byte* frame, uint32_t length) {
  ip_addr_t to = {}, from = {};
  uint32_t mtu, quoted;  // Offset of the quoted packet's transport header.
  uint8_t protocol;
  bool consume = false;
  if (length < 14 + 20) return false;
  if (Load16(frame + 12) == kEtherIpv4) {
    uint32_t icmp = 14 + (Load8(frame + 14) & 0xf) * 4u;
    if (Load8(frame + 23) != 1 || length < icmp + 8 + 28 || (Load16(frame + 20) & 0x3fff) != 0) return false;
    if (Load8(frame + icmp) != 3 || Load8(frame + icmp + 1) != 4) return false;
    uint32_t total = Load16(frame + 16);
    if (total + 14 > length || total + 14 < icmp + 8 + 28) return false;
    if (Fold(Sum(frame + icmp, total + 14 - icmp)) != 0xffff) return false;
    const std::byte* inner = frame + icmp + 8;
    mtu = Load16(frame + icmp + 6);
    std::memcpy(&ip_2_ip4(&from)->addr, inner + 12, 4);
    std::memcpy(&ip_2_ip4(&to)->addr, inner + 16, 4);
    IP_SET_TYPE_VAL(to, IPADDR_TYPE_V4);
    IP_SET_TYPE_VAL(from, IPADDR_TYPE_V4);
    protocol = Load8(inner + 9);
    quoted = icmp + 8 + (Load8(inner) & 0xf) * 4u;
  } else if (Load16(frame + 12) == kEtherIpv6) {
    if (length < 54 + 8 + 40 + 8 || Load8(frame + 20) != 58 || Load8(frame + 54) != 2) return false;
    consume = true;
    uint32_t bytes = Load16(frame + 18);
    if (bytes + 54 > length) return true;
    Layout layout{true, 58, 54, 0};
    if (Fold(Sum(frame + 54, bytes, PseudoSum(frame, layout, bytes))) != 0xffff) return true;
    const std::byte* inner = frame + 62;
    mtu = Load32(frame + 58);
    IP_SET_TYPE_VAL(to, IPADDR_TYPE_V6);
    IP_SET_TYPE_VAL(from, IPADDR_TYPE_V6);
    std::memcpy(&ip_2_ip6(&from)->addr, inner + 8, 16);
    std::memcpy(&ip_2_ip6(&to)->addr, inner + 24, 16);
    protocol = Load8(inner + 6);
    quoted = 62 + 40;
  } else {
    return false;
  }
  if (mtu == 0) mtu = PathMtu::kMinimum4;  // A router before RFC 1191.
  if (quoted + 8 > length) return consume;
  if (protocol == kProtocolTcp) {
    // Only for a connection of ours and a segment that is under way: an outsider cannot know its number.
    uint16_t local = Load16(frame + quoted), remote = Load16(frame + quoted + 2);
    uint32_t sequence = Load32(frame + quoted + 4);
    tcp_pcb* pcb = tcp_active_pcbs;
    while (pcb &&
           !(pcb->local_port == local && pcb->remote_port == remote &&
             ip_addr_cmp_zoneless(&pcb->remote_ip, &to) && ip_addr_cmp_zoneless(&pcb->local_ip, &from))) {
      pcb = pcb->next;
    }
    if (!pcb || TCP_SEQ_LT(sequence, pcb->lastack) || TCP_SEQ_GEQ(sequence, pcb->snd_nxt)) return consume;
    if (path_mtu_.Learn(to, mtu, config_.mtu, Now())) {
      u16_t limit = static_cast<u16_t>(SegmentLimit(to));
      for (tcp_pcb* other = tcp_active_pcbs; other; other = other->next) {
        if (ip_addr_cmp_zoneless(&other->remote_ip, &to)) other->mss = std::min(other->mss, limit);
      }
    }
  } else if (protocol == kProtocolUdp || protocol == 58 || protocol == 1 || protocol == 44) {
    path_mtu_.Learn(to, mtu, config_.mtu, Now());
  }
  return consume;
}

void Interface::Announce(Route way) {
  overriding_ = true;
  override_route_ = way;
  if (!ip4_addr_isany_val(*netif_ip4_addr(&netif_))) etharp_gratuitous(&netif_);
  for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
    if (!ip6_addr_isvalid(netif_ip6_addr_state(&netif_, i))) continue;
    // RFC 4861 section 7.2.6: an unsolicited advertisement, override set, to all nodes.
    std::byte frame[14 + 40 + 32] = {};
    static constexpr uint8_t kAllNodes[] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static constexpr uint8_t kGroupMac[] = {0x33, 0x33, 0, 0, 0, 1};
    std::memcpy(frame, kGroupMac, 6);
    std::memcpy(frame + 6, config_.mac.data(), 6);
    Store16(frame + 12, kEtherIpv6);
    frame[14] = std::byte{0x60};
    Store16(frame + 18, 32);
    frame[20] = std::byte{58};
    frame[21] = std::byte{255};
    std::memcpy(frame + 22, netif_ip6_addr(&netif_, i)->addr, 16);
    std::memcpy(frame + 38, kAllNodes, 16);
    frame[54] = std::byte{136};
    frame[58] = std::byte{0x20};
    std::memcpy(frame + 62, netif_ip6_addr(&netif_, i)->addr, 16);
    frame[78] = std::byte{2};
    frame[79] = std::byte{1};
    std::memcpy(frame + 80, config_.mac.data(), 6);
    Layout layout{true, 58, 54, 0};
    Store16(frame + 56, static_cast<uint16_t>(~Fold(Sum(frame + 54, 32, PseudoSum(frame, layout, 32)))));
    Part part{frame, sizeof(frame)};
    OutFrame out{{&part, 1}, sizeof(frame), {}};
    if (!TrySend(out, way, flow_pair_.Of(frame))) Count(Counter::k_tx_dropped);
  }
  overriding_ = false;
}

void Interface::SetNic(Nic* nic) {
  if (nic_) nic_->SetHandler(nullptr);
  nic_ = nic;
  nic_received_at_ = Now();
}

bool Interface::Arm() {
  if (netif_.loop_first) return false;
  for (uint32_t pair = 0; pair < end_->geometry().queue_pairs; pair++) {
    if (!violated_ && !end_->receive(pair).ArmEvent()) return false;
  }
  if (route_ == Route::kChannel && !pieces_.empty()) {
    const Part& first = pieces_.front().parts[0];
    if (!sender_.ArmRoom(flow_pair_.Of({first.data, first.length}), kRoom)) return false;
  } else if (route_ == Route::kChannel) {
    for (uint32_t pair = 0; pair < sender_.pairs(); pair++) {
      bool waiting = starved_[pair] || !holding_.empty(pair);
      if (waiting && !sender_.ArmRoom(pair, kRoom)) return false;
    }
  }
  // While the transmit rings are drained for a change of mode, every consumed entry matters.
  if (route_ == Route::kHold && !sender_.ArmDrained()) return false;
  if (nic_) nic_->SetHandler(this);
  return true;
}

void Interface::Disarm() {
  for (uint32_t pair = 0; pair < end_->geometry().queue_pairs; pair++) end_->receive(pair).DisarmEvent();
  sender_.Disarm();
  if (nic_) nic_->SetHandler(nullptr);
}

}  // namespace librettos::guest
