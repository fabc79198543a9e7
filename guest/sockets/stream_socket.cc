// Life of a stream socket and lwIP's callbacks; stream_io.cc has the program's calls.
#include "guest/sockets/stream_socket.h"

#include <algorithm>
#include <new>

#include "guest/sockets/epoll.h"
#include "lwip/priv/tcp_priv.h"

namespace librettos::sockets {

namespace {
constexpr uint8_t kTcp = 6;
// RFC 6298 section 2: 1 s before the first measurement; lwIP starts with 3.
constexpr int16_t kInitialTimeout = 1000 / TCP_SLOW_INTERVAL;
}  // namespace

StreamSocket* StreamSocket::Create(Family family) {
  auto* socket = new (std::nothrow) StreamSocket(family);
  if (!socket) return nullptr;
  tcp_pcb* pcb = tcp_new_ip_type(family == Family::kIpv4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_ANY);
  if (!pcb) {
    delete socket;
    return nullptr;
  }
  socket->Adopt(pcb);
  return socket;
}

void StreamSocket::Adopt(tcp_pcb* pcb) {
  Attach(pcb);
  tcp_arg(pcb, this);
  tcp_recv(pcb, &StreamSocket::OnReceive);
  tcp_sent(pcb, &StreamSocket::OnSent);
  tcp_err(pcb, &StreamSocket::OnError);
  pcb->rto = pcb->sv = kInitialTimeout;
}

StreamSocket::~StreamSocket() {
  LeaveListener();
  FreeReceived();
}

void StreamSocket::FreeReceived() {
  while (pbuf* p = received_head_) {
    received_head_ = p->next;
    p->next = nullptr;
    p->tot_len = p->len;
    pbuf_free(p);
  }
  received_tail_ = nullptr;
  received_offset_ = 0;
}

void StreamSocket::LeaveListener() {
  if (!parent_) return;
  parent_->waiting_--;
  if (queued_up_) {
    StreamSocket* previous = nullptr;
    for (StreamSocket* at = parent_->queue_head_; at; previous = at, at = at->next_queued_) {
      if (at != this) continue;
      (previous ? previous->next_queued_ : parent_->queue_head_) = next_queued_;
      if (parent_->queue_tail_ == this) parent_->queue_tail_ = previous;
      break;
    }
    queued_up_ = false;
  }
  parent_ = nullptr;
}

// Not from within lwIP's callbacks.
void StreamSocket::Abort() {
  tcp_pcb* connection = pcb();
  if (!connection) return;
  tcp_arg(connection, nullptr);
  tcp_err(connection, nullptr);
  Detach();
  tcp_abort(connection);
}

void StreamSocket::CloseListener() {
  static const tcp_ext_arg_callbacks kNone = {nullptr, nullptr};
  auto* common = reinterpret_cast<tcp_pcb*>(listener_);
  tcp_ext_arg_set_callbacks(common, 0, &kNone);
  tcp_close(common);
  listener_ = nullptr;
  while (StreamSocket* child = queue_head_) {
    child->LeaveListener();
    child->Abort();
    delete child;
  }
  // Half-open ones: lwIP aborts them when they complete; they only must not find their way back here.
  for (tcp_pcb* at = tcp_active_pcbs; at && waiting_ > 0; at = at->next) {
    auto* child = static_cast<StreamSocket*>(TcpFlow::Of(at));
    if (!child || child->parent_ != this) continue;
    child->LeaveListener();
    child->closed_ = true;
  }
}

void StreamSocket::Close() {
  closed_ = write_closed_ = true;
  if (listener_) CloseListener();
  // Level the score with lwIP: with unread data its tcp_close() resets, as POSIX has it.
  bool unread = received_head_ != nullptr;
  FreeReceived();
  while (watches) Epoll_Drop(watches);
  if (pcb() && unread) Abort();
  FinishSending();
  if (!pcb()) {
    delete this;
    return;
  }
  Mark();
}

void StreamSocket::FinishSending() {
  tcp_pcb* connection = pcb();
  if (!connection || !write_closed_ || fin_queued_) return;
  if (unsent() > 0 && state_ == State::kOpen) return;  // First the data.
  if (closed_) {
    fin_queued_ = tcp_close(connection) == ERR_OK;  // Frees it at once unless it was connected.
  } else if (state_ == State::kOpen) {
    fin_queued_ = tcp_shutdown(connection, 0, 1) == ERR_OK;
  }
}

void StreamSocket::OnPumped() {
  FinishSending();
  if (closed_ && pcb() && pcb()->state == TIME_WAIT) {
    // Nothing more will be sent or delivered: the port is free for others, lwIP keeps the rest.
    tcp_arg(pcb(), nullptr);
    Detach();
  }
  if (closed_ && !pcb()) {
    delete this;
    return;
  }
  if (want_out_ && (Readiness() & kOut)) {
    want_out_ = false;
    Notify(kOut);
  }
}

void StreamSocket::OnPcbGone() {
  if (state_ == State::kAccepting && !queued_up_) {
    LeaveListener();
    closed_ = true;  // It died before anybody knew of it.
  }
  state_ = State::kDead;
  if (closed_) Mark();  // Deleted outside of lwIP.
  Notify(kIn | kOut | kHup | kRdHup | kErr);
}

void StreamSocket::OnError(void* arg, err_t error) {
  auto* self = static_cast<StreamSocket*>(arg);
  if (!self) return;
  if (error == ERR_CLSD) return;  // Both sides closed in good order.
  self->error_ = error == ERR_ABRT ? Error::kTimeout : Error::kUnavailable;
  self->Notify(kIn | kOut | kErr | kHup);
}

err_t StreamSocket::OnReceive(void* arg, tcp_pcb* pcb, pbuf* p, err_t) {
  auto* self = static_cast<StreamSocket*>(arg);
  if (!self) {
    if (p) pbuf_free(p);
    return ERR_OK;
  }
  if (!p) {
    self->peer_closed_ = true;
    self->Notify(kIn | kRdHup | (self->fin_queued_ ? uint32_t{kHup} : 0));
    return ERR_OK;
  }
  if (self->closed_) {
    // Nobody will read it: the peer must know.
    pbuf_free(p);
    tcp_arg(pcb, nullptr);
    tcp_err(pcb, nullptr);
    self->Detach();
    self->state_ = State::kDead;
    self->Mark();
    tcp_abort(pcb);
    return ERR_ABRT;
  }
  (self->received_tail_ ? self->received_tail_->next : self->received_head_) = p;
  while (p->next) p = p->next;
  self->received_tail_ = p;
  self->Notify(kIn);
  return ERR_OK;
}

err_t StreamSocket::OnSent(void* arg, tcp_pcb*, u16_t bytes) {
  if (auto* self = static_cast<StreamSocket*>(arg)) self->Acknowledged(bytes);
  return ERR_OK;
}

err_t StreamSocket::OnConnected(void* arg, tcp_pcb*, err_t) {
  auto* self = static_cast<StreamSocket*>(arg);
  if (!self) return ERR_OK;
  self->state_ = State::kOpen;
  self->Mark();
  self->Notify(kOut);
  return ERR_OK;
}

err_t StreamSocket::OnPassiveOpen(u8_t, tcp_pcb_listen* listener, tcp_pcb* pcb) {
  auto* self = static_cast<StreamSocket*>(tcp_ext_arg_get(reinterpret_cast<tcp_pcb*>(listener), 0));
  if (!self || self->waiting_ >= self->backlog_) return ERR_MEM;  // The peer tries again.
  auto* child = new (std::nothrow) StreamSocket(IP_IS_V6_VAL(pcb->remote_ip) ? Family::kIpv6 : Family::kIpv4);
  if (!child) return ERR_MEM;
  child->Adopt(pcb);
  child->state_ = State::kAccepting;
  child->parent_ = self;
  self->waiting_++;
  if (self->leased_port_) {
    child->leased_port_ = self->leased_port_;
    child->leased_protocol_ = kTcp;
    guest::Stack::instance()->leases().Retain(kTcp, self->leased_port_);
  }
  if (self->options_ & (1 << static_cast<int>(Option::kNoDelay))) tcp_nagle_disable(pcb);
  return ERR_OK;
}

err_t StreamSocket::OnAccept(void* arg, tcp_pcb* pcb, err_t) {
  auto* self = static_cast<StreamSocket*>(arg);
  if (!pcb || !self || !self->parent_) return ERR_VAL;
  StreamSocket* parent = self->parent_;
  self->queued_up_ = true;
  self->next_queued_ = nullptr;
  (parent->queue_tail_ ? parent->queue_tail_->next_queued_ : parent->queue_head_) = self;
  parent->queue_tail_ = self;
  parent->Notify(kIn);
  return ERR_OK;
}

}  // namespace librettos::sockets
