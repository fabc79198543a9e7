// The receiving side of the interface, announcements and sleeping.
#include <algorithm>
#include <cstring>
#include <utility>

#include "guest/net/frame_buffer.h"
#include "guest/net/headers.h"
#include "guest/net/interface.h"
#include "guest/net/text.h"
#include "guest/net/udp_flow.h"
#include "guest/platform/fault_point.h"
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
    if (entries > 0) FAULT_POINT("guest.received");
    if (entries > 0 && ring.Commit(entries)) {
      end_->Signal(pair);
      Count(Counter::k_events_sent);
    }
  }
  const channel::Violation violation = FindViolation(std::exchange(examine_, false));
  if (violated_ || violation != channel::Violation::kNone) RenewChannel(violation);
  return any;
}

// `examine`: of what was not needed lately, too.
channel::Violation Interface::FindViolation(bool examine) {
  if (examine && !end_->Intact()) return channel::Violation::kBadHeader;
  for (uint32_t pair = 0; pair < sender_.pairs(); pair++) {
    if (examine) (void)end_->transmit(pair).Drained();
    for (channel::Violation violation : {end_->receive(pair).violation(), end_->transmit(pair).violation()}) {
      if (violation != channel::Violation::kNone) return violation;
    }
  }
  return channel::Violation::kNone;
}

// What was in the rings is lost, as on a bad wire; connections go on.
void Interface::RenewChannel(channel::Violation violation) {
  if (!violated_) {
    violated_ = true;
    Count(Counter::k_server_violations);
    SetCounter(Counter::k_server_violation, static_cast<uint64_t>(violation));
    Log((Text() << "net: the server broke the channel's rules (" << channel::ToString(violation)
                << "); it is offered a new channel")
            .view());
    observer_->OnServerViolation(violation);
  }
  if (!end_->Renew().ok()) return;  // Later, at the latest when the stack's timer wakes.
  violated_ = false;
  sender_.OnRenewed();
  Count(Counter::k_channel_renewals);
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
  // While both ways are open a group frame comes twice; our own may come back by the other way. A bridge
  // floods what is for others; with a shared address the server decides who gets what.
  bool twice = group && from != in_use_;
  bool others = !config_.shared && !group && length >= 12 && std::memcmp(frame, config_.mac.data(), 6) != 0;
  if (length > buffer->capacity() || length > kMaxFrameBytes || !HasHeaders(frame, length) || own || twice ||
      others || TakeIcmpError(frame, length)) {
    if (!own && !twice && !others) Count(Counter::k_rx_dropped);
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

// ICMP about packets of ours, which lwIP does not take up. True: dealt with, and not for lwIP, which would
// cut large TCP segments into IP fragments.
bool Interface::TakeIcmpError(const std::byte* frame, uint32_t length) {
  IcmpError error;
  if (!IcmpError::Parse(frame, length, &error)) return false;
  if (error.kind == IcmpError::Kind::kUnreachable) {
    if (UdpFlow::Tell(error, &netif_)) Count(Counter::k_icmp_errors);
    return false;
  }
  if (error.quotes) LearnMtu(error);
  return error.ipv6;
}

void Interface::LearnMtu(const IcmpError& error) {
  const uint32_t mtu = error.mtu ? error.mtu : PathMtu::kMinimum4;
  if (error.protocol == kProtocolTcp) {
    // Only for a connection of ours and a segment that is under way: an outsider cannot know its number.
    tcp_pcb* pcb = tcp_active_pcbs;
    while (pcb && !(pcb->local_port == error.local_port && pcb->remote_port == error.remote_port &&
                    ip_addr_cmp_zoneless(&pcb->remote_ip, &error.to) &&
                    ip_addr_cmp_zoneless(&pcb->local_ip, &error.from))) {
      pcb = pcb->next;
    }
    if (!pcb || TCP_SEQ_LT(error.sequence, pcb->lastack) || TCP_SEQ_GEQ(error.sequence, pcb->snd_nxt)) return;
    if (!path_mtu_.Learn(error.to, mtu, config_.mtu, Now())) return;
    u16_t limit = static_cast<u16_t>(SegmentLimit(error.to));
    for (tcp_pcb* other = tcp_active_pcbs; other; other = other->next) {
      if (ip_addr_cmp_zoneless(&other->remote_ip, &error.to)) other->mss = std::min(other->mss, limit);
    }
  } else if (error.protocol == kProtocolUdp || error.protocol == kProtocolIcmp6 ||
             error.protocol == kProtocolIcmp || error.protocol == kProtocolFragment6) {
    path_mtu_.Learn(error.to, mtu, config_.mtu, Now());
  }
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
  // Rings that were violated cannot be armed; they are replaced by the clock.
  if (!violated_ && !ArmChannel()) return false;
  if (nic_) nic_->SetHandler(this);
  return true;
}

bool Interface::ArmChannel() {
  for (uint32_t pair = 0; pair < sender_.pairs(); pair++) {
    if (!end_->receive(pair).ArmEvent()) return false;
  }
  // While a change of mode waits for the transmit rings, every consumed entry matters.
  if (route_ == Route::kHold || (await_drain_ && !sender_.Drained())) return sender_.ArmDrained();
  if (route_ == Route::kNic) return true;
  if (!pieces_.empty()) {
    const Part& first = pieces_.front().parts[0];
    return sender_.ArmRoom(flow_pair_.Of({first.data, first.length}), kRoom);
  }
  for (uint32_t pair = 0; pair < sender_.pairs(); pair++) {
    bool waiting = starved_[pair] || !holding_.empty(pair);
    if (waiting && !sender_.ArmRoom(pair, kRoom)) return false;
  }
  return true;
}

void Interface::Disarm() {
  for (uint32_t pair = 0; pair < end_->geometry().queue_pairs; pair++) end_->receive(pair).DisarmEvent();
  sender_.Disarm();
  if (nic_) nic_->SetHandler(nullptr);
}

}  // namespace librettos::guest
