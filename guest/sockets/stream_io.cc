// The program's calls on stream sockets.
#include <algorithm>
#include <cstring>

#include "guest/sockets/stream_socket.h"
#include "lwip/priv/tcp_priv.h"

namespace librettos::sockets {

namespace {
constexpr uint8_t kTcp = 6;
constexpr int kMaxBacklog = 4096;
// As Linux: writable again when a third of the queue is free, so that a program is not woken for every
// segment.
constexpr size_t kWritable = guest::SendQueue::kMaxBytes / 3;
}  // namespace

uint32_t StreamSocket::Readiness() const {
  if (state_ == State::kListening) return queue_head_ ? uint32_t{kIn} : 0;
  if (state_ == State::kFresh) return 0;
  uint32_t events = 0;
  if (error_ != Error::kOk) events |= kErr | kIn | kOut;
  if (received_head_ || peer_closed_) events |= kIn;
  if (peer_closed_) events |= kRdHup;
  if (state_ == State::kDead) events |= kIn | kOut | kHup | kRdHup;
  if (peer_closed_ && fin_queued_) events |= kHup;
  bool open = state_ == State::kOpen || state_ == State::kAccepting;
  if (open && !write_closed_ && room() >= kWritable) events |= kOut;
  return events;
}

Status StreamSocket::Bind(const Address& address) {
  tcp_pcb* connection = pcb();
  if (state_ != State::kFresh || !connection || address.family != family_ || connection->local_port != 0) {
    return Error::kInvalidArgument;
  }
  uint16_t port = address.port;
  Status status = Lease(kTcp, &port);
  if (!status.ok()) return status;
  ip_addr_t local = ToLwip(address);
  if (family_ == Family::kIpv6 && ip_addr_isany_val(local) && !only6_) local = *IP_ANY_TYPE;
  status = FromErr(tcp_bind(connection, &local, port));
  if (!status.ok()) ReleaseLease();
  return status;
}

Status StreamSocket::Listen(int backlog) {
  backlog_ = static_cast<uint32_t>(std::clamp(backlog, 1, kMaxBacklog));
  if (state_ == State::kListening) return {};
  tcp_pcb* connection = pcb();
  if (state_ != State::kFresh || !connection) return Error::kInvalidArgument;
  if (connection->local_port == 0) {
    Status status = Bind(Address::Any(family_, 0));
    if (!status.ok()) return status;
  }
  static const tcp_ext_arg_callbacks kCallbacks = {nullptr, &StreamSocket::OnPassiveOpen};
  // lwIP frees the pcb and makes a smaller one: this flow must not take that for the connection's end.
  Detach();
  tcp_arg(connection, nullptr);
  err_t error = ERR_OK;
  tcp_pcb* listener = tcp_listen_with_backlog_and_err(connection, 255, &error);
  if (!listener) {
    Adopt(connection);
    return FromErr(error);
  }
  listener_ = reinterpret_cast<tcp_pcb_listen*>(listener);
  tcp_ext_arg_set_callbacks(listener, 0, &kCallbacks);
  tcp_ext_arg_set(listener, 0, this);
  tcp_accept(listener, &StreamSocket::OnAccept);
  state_ = State::kListening;
  return {};
}

SocketBase* StreamSocket::Accept(Address* peer) {
  StreamSocket* child = queue_head_;
  if (!child) return nullptr;
  child->LeaveListener();
  if (child->state_ == State::kAccepting) child->state_ = State::kOpen;
  if (peer && child->pcb()) *peer = FromLwip(child->pcb()->remote_ip, child->pcb()->remote_port);
  child->Mark();
  return child;
}

Status StreamSocket::Connect(const Address& peer) {
  if (state_ == State::kConnecting) return Error::kAgain;
  tcp_pcb* connection = pcb();
  if (state_ != State::kFresh || !connection || peer.port == 0) return Error::kInvalidArgument;
  if (family_ == Family::kIpv4 && peer.family != Family::kIpv4) return Error::kInvalidArgument;
  if (connection->local_port == 0 && guest::Stack::instance()->shared()) {
    Status status = Bind(Address::Any(family_, 0));
    if (!status.ok()) return status;
  }
  ip_addr_t to = ToLwip(peer);
  Status status = FromErr(tcp_connect(connection, &to, peer.port, &StreamSocket::OnConnected));
  if (!status.ok()) return status;
  state_ = State::kConnecting;
  return Error::kAgain;
}

Result<size_t> StreamSocket::Send(std::span<const std::byte> data) {
  if (error_ != Error::kOk || state_ == State::kDead || write_closed_) return Error::kUnavailable;
  if (state_ == State::kConnecting) return Error::kAgain;
  if (state_ != State::kOpen) return Error::kInvalidArgument;
  if (data.empty()) return size_t{0};
  size_t bytes = Queue(data);
  // Also if all was taken: who waits for kOut from here on must be told when it is true again.
  if (bytes < data.size() || room() < kWritable) want_out_ = true;
  if (bytes == 0) return Error::kAgain;
  return bytes;
}

Result<size_t> StreamSocket::Receive(std::span<std::byte> out) {
  if (state_ == State::kFresh || state_ == State::kListening) return Error::kInvalidArgument;
  size_t done = 0;
  while (done < out.size() && received_head_) {
    pbuf* p = received_head_;
    size_t bytes = std::min<size_t>(out.size() - done, p->len - received_offset_);
    std::memcpy(out.data() + done, static_cast<const std::byte*>(p->payload) + received_offset_, bytes);
    done += bytes;
    received_offset_ += static_cast<uint32_t>(bytes);
    if (received_offset_ < p->len) break;
    received_head_ = p->next;
    if (!received_head_) received_tail_ = nullptr;
    received_offset_ = 0;
    p->next = nullptr;
    p->tot_len = p->len;
    pbuf_free(p);
  }
  for (size_t left = done; left > 0 && pcb();) {
    auto step = static_cast<u16_t>(std::min<size_t>(left, 0xffff));
    tcp_recved(pcb(), step);
    left -= step;
  }
  if (done > 0 || out.empty()) return done;
  if (error_ != Error::kOk) return Error::kUnavailable;
  if (peer_closed_ || state_ == State::kDead) return size_t{0};
  return Error::kAgain;
}

Status StreamSocket::ShutdownWrite() {
  if (state_ != State::kOpen) return Error::kUnavailable;
  write_closed_ = true;
  FinishSending();
  Mark();
  return {};
}

Result<Address> StreamSocket::Local() const {
  if (listener_) {
    if (IP_IS_ANY_TYPE_VAL(listener_->local_ip)) return Address::Any(family_, listener_->local_port);
    return FromLwip(listener_->local_ip, listener_->local_port);
  }
  if (!pcb()) return Error::kUnavailable;
  if (IP_IS_ANY_TYPE_VAL(pcb()->local_ip)) return Address::Any(family_, pcb()->local_port);
  return FromLwip(pcb()->local_ip, pcb()->local_port);
}

Result<Address> StreamSocket::Peer() const {
  if (!pcb() || pcb()->remote_port == 0) return Error::kUnavailable;
  return FromLwip(pcb()->remote_ip, pcb()->remote_port);
}

Status StreamSocket::SetOption(Option option, bool on) {
  auto bit = static_cast<uint8_t>(1 << static_cast<int>(option));
  options_ = static_cast<uint8_t>(on ? options_ | bit : options_ & ~bit);
  tcp_pcb* connection = listener_ ? reinterpret_cast<tcp_pcb*>(listener_) : pcb();
  if (!connection) return Error::kUnavailable;
  switch (option) {
    case Option::kReuseAddress:
    case Option::kKeepAlive: {
      u8_t flag = option == Option::kKeepAlive ? SOF_KEEPALIVE : SOF_REUSEADDR;
      if (on)
        ip_set_option(connection, flag);
      else
        ip_reset_option(connection, flag);
      return {};
    }
    case Option::kNoDelay:
      if (listener_) return {};  // Its connections inherit it.
      if (on)
        tcp_nagle_disable(connection);
      else
        tcp_nagle_enable(connection);
      Mark();
      return {};
    case Option::kIpv6Only:
      if (family_ != Family::kIpv6 || state_ != State::kFresh) return Error::kInvalidArgument;
      only6_ = on;
      return {};
  }
  return Error::kInvalidArgument;
}

}  // namespace librettos::sockets
