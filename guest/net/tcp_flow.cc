#include "guest/net/tcp_flow.h"

#include <algorithm>

#include "guest/net/tcp_repair.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

namespace librettos::guest {

namespace {

TcpFlow* marked_head;

bool Sends(const tcp_pcb* pcb) { return pcb->state >= ESTABLISHED && pcb->state != TIME_WAIT; }

}  // namespace

const void* FlowCallbacks() {
  static const tcp_ext_arg_callbacks callbacks = {&TcpFlow::Destroyed, nullptr};
  return &callbacks;
}

TcpFlow::~TcpFlow() {
  Detach();
  if (!marked_) return;
  (previous_marked_ ? previous_marked_->next_marked_ : marked_head) = next_marked_;
  if (next_marked_) next_marked_->previous_marked_ = previous_marked_;
}

void TcpFlow::Attach(tcp_pcb* pcb) {
  pcb_ = pcb;
  tcp_ext_arg_set_callbacks(pcb, 0, static_cast<const tcp_ext_arg_callbacks*>(FlowCallbacks()));
  tcp_ext_arg_set(pcb, 0, this);
}

void TcpFlow::Detach() {
  if (!pcb_) return;
  tcp_ext_arg_set(pcb_, 0, nullptr);
  pcb_ = nullptr;
}

void TcpFlow::Destroyed(uint8_t, void* data) {
  auto* flow = static_cast<TcpFlow*>(data);
  if (!flow) return;
  flow->pcb_ = nullptr;
  flow->OnPcbGone();
}

TcpFlow* TcpFlow::Of(const tcp_pcb* pcb) {
  if (!pcb || pcb->state == LISTEN || pcb->ext_args[0].callbacks != FlowCallbacks()) return nullptr;
  return static_cast<TcpFlow*>(tcp_ext_arg_get(pcb, 0));
}

size_t TcpFlow::Queue(std::span<const std::byte> data) {
  size_t bytes = queue_.Append(data);
  if (bytes > 0) Mark();
  return bytes;
}

void TcpFlow::Acknowledged(size_t bytes) {
  queue_.Acknowledge(bytes);
  Mark();
}

void TcpFlow::Mark() {
  if (marked_) return;
  marked_ = true;
  previous_marked_ = nullptr;
  next_marked_ = marked_head;
  if (marked_head) marked_head->previous_marked_ = this;
  marked_head = this;
}

void TcpFlow::PumpMarked() {
  while (TcpFlow* flow = marked_head) {
    marked_head = flow->next_marked_;
    if (marked_head) marked_head->previous_marked_ = nullptr;
    flow->next_marked_ = nullptr;
    flow->Pump();
    // A flow that marks itself while it is pumped would turn here for ever; nobody may.
    if (marked_head == flow) break;
  }
}

void TcpFlow::MarkWaiting() {
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
    TcpFlow* flow = Of(pcb);
    if (flow && (pcb->unsent || flow->queue_.unsent() > 0 || pcb->flags & TF_CLOSEPEND)) flow->Mark();
  }
}

void TcpFlow::BeforeInput() {
  Mark();
  // The third duplicate acknowledgement makes lwIP repeat the oldest segment: as it is now, so it is cut now.
  if (pcb_->dupacks < 2 || !Sends(pcb_) || pcb_->flags & TF_INFR) return;
  queue_.Acknowledge(TrimAcknowledged(pcb_));
  SplitUnacknowledgedHead(pcb_);
}

void TcpFlow::Recover() {
  if (pcb_->flags & TF_RTO) {
    recovering_ = false;
    return;
  }
  if (pcb_->flags & TF_INFR) {
    if (!recovering_) recover_ = pcb_->snd_nxt;
    recovering_ = true;
    last_acknowledged_ = pcb_->lastack;
    return;
  }
  if (!recovering_) return;
  if (!TCP_SEQ_LT(pcb_->lastack, recover_) || !pcb_->unacked) {
    recovering_ = false;
    return;
  }
  if (pcb_->lastack == last_acknowledged_) return;
  // A partial acknowledgement: the next hole starts right there.
  SplitUnacknowledgedHead(pcb_);
  if (tcp_rexmit(pcb_) == ERR_OK) tcp_set_flags(pcb_, TF_INFR);
  last_acknowledged_ = pcb_->lastack;
}

bool TcpFlow::Fill() {
  bool wrote = false;
  const uint32_t mss = std::max<uint32_t>(pcb_->mss, 1);
  const uint32_t large = LargeSegmentBytes(pcb_);
  while (queue_.unsent() > 0) {
    size_t total = queue_.unsent();
    auto data = queue_.Next();
    uint32_t window = std::min(pcb_->snd_wnd, pcb_->cwnd);
    uint32_t used = pcb_->snd_lbb - pcb_->lastack;
    size_t budget = used < window ? window - used : 0;
    if (budget < std::min<size_t>(total, mss)) {
      // Too small to be worth a segment; but with nothing in flight lwIP's persist timer needs one to ask
      // with.
      if (pcb_->unacked || pcb_->unsent) return wrote;
      budget = mss;
    } else if (budget < total) {
      budget -= budget % mss;
    }
    size_t bytes = std::min({data.size(), budget, static_cast<size_t>(large)});
    // The last unsent segment may be larger than what is usual now (the MSS was lowered); lwIP asserts on it.
    uint32_t raised = large;
    for (tcp_seg* segment = pcb_->unsent; segment; segment = segment->next) {
      if (segment->next) continue;
      raised = std::max<uint32_t>(raised, segment->len);
      // tcp_write() appends to the last unsent segment. One that is only here to be repeated is not followed
      // by new data: it must leave first.
      if (lwip_ntohl(segment->tcphdr->seqno) + TCP_TCPLEN(segment) != pcb_->snd_lbb) return wrote;
    }
    u16_t real = pcb_->mss;
    pcb_->mss = static_cast<u16_t>(raised);
    err_t result =
        tcp_write(pcb_, data.data(), static_cast<u16_t>(bytes), bytes < total ? TCP_WRITE_FLAG_MORE : 0);
    pcb_->mss = real;
    if (result != ERR_OK) return wrote;  // No memory or too many pieces: at the next acknowledgement or tick.
    queue_.Advance(bytes);
    wrote = true;
  }
  return wrote;
}

void TcpFlow::Pump() {
  marked_ = false;
  if (pcb_ && Sends(pcb_)) {
    queue_.Acknowledge(TrimAcknowledged(pcb_));
    Recover();
    for (int round = 0; round < 64; round++) {
      FitUnsentHead(pcb_);
      tcp_seg* before = pcb_->unsent;
      if (before && tcp_output(pcb_) != ERR_OK) break;
      bool open = pcb_->state == ESTABLISHED || pcb_->state == CLOSE_WAIT;
      bool wrote = open && Fill();
      if (!wrote && (!pcb_->unsent || pcb_->unsent == before)) break;
    }
  }
  OnPumped();
}

}  // namespace librettos::guest
