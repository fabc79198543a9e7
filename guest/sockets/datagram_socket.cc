#include "guest/sockets/datagram_socket.h"

#include <algorithm>
#include <new>

namespace librettos::sockets {

namespace {
constexpr uint8_t kUdp = 17;
constexpr size_t kMaxPayload = 65507;
constexpr size_t kOverhead = 128;  // So that empty datagrams have a price, too.
}  // namespace

DatagramSocket* DatagramSocket::Create(Family family) {
  auto* socket = new (std::nothrow) DatagramSocket(family);
  if (!socket) return nullptr;
  socket->pcb_ = udp_new_ip_type(family == Family::kIpv4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_ANY);
  if (!socket->pcb_) {
    delete socket;
    return nullptr;
  }
  socket->Attach(socket->pcb_);
  return socket;
}

DatagramSocket::~DatagramSocket() {
  if (pcb_) udp_remove(pcb_);
  while (Datagram* datagram = head_) {
    head_ = datagram->next;
    pbuf_free(datagram->data);
    delete datagram;
  }
}

uint32_t DatagramSocket::Readiness() const {
  return kOut | (head_ ? uint32_t{kIn} : 0) | (error_ != Error::kOk ? uint32_t{kErr} : 0);
}

void DatagramSocket::OnUnreachable() {
  error_ = Error::kUnavailable;
  Notify(kErr);
}

void DatagramSocket::OnDatagram(pbuf* p, const ip_addr_t& from, uint16_t port) {
  Datagram* datagram = nullptr;
  if (bytes_ + p->tot_len + kOverhead <= kQueueBytes) datagram = new (std::nothrow) Datagram;
  if (!datagram) {
    dropped_++;
    guest::Stack::instance()->interface().Count(guest::Counter::k_rx_dropped);
    pbuf_free(p);
    return;
  }
  *datagram = {nullptr, p, from, port};
  (tail_ ? tail_->next : head_) = datagram;
  tail_ = datagram;
  bytes_ += p->tot_len + kOverhead;
  Notify(kIn);
}

Status DatagramSocket::Bind(const Address& address) {
  if (address.family != family_ || pcb_->local_port != 0) return Error::kInvalidArgument;
  uint16_t port = address.port;
  Status status = Lease(kUdp, &port);
  if (!status.ok()) return status;
  ip_addr_t local = ToLwip(address);
  if (family_ == Family::kIpv6 && ip_addr_isany_val(local) && !only6_) local = *IP_ANY_TYPE;
  status = FromErr(udp_bind(pcb_, &local, port));
  if (!status.ok()) ReleaseLease();
  return status;
}

Status DatagramSocket::EnsureBound() {
  if (pcb_->local_port != 0) return {};
  return Bind(Address::Any(family_, 0));
}

Status DatagramSocket::Connect(const Address& peer) {
  Status status = EnsureBound();
  if (!status.ok()) return status;
  ip_addr_t to = ToLwip(peer);
  return FromErr(udp_connect(pcb_, &to, peer.port));
}

Result<size_t> DatagramSocket::Transmit(std::span<const std::byte> data, const ip_addr_t* to, uint16_t port) {
  if (data.size() > kMaxPayload) return Error::kInvalidArgument;
  if (Error error = TakeError(); error != Error::kOk) return error;
  Status status = EnsureBound();
  if (!status.ok()) return status.error();
  // The data is only referred to: below it is copied before this call returns.
  pbuf* p = pbuf_alloc(PBUF_TRANSPORT, 0, PBUF_RAM);
  pbuf* body = data.empty() ? nullptr : pbuf_alloc(PBUF_RAW, static_cast<u16_t>(data.size()), PBUF_REF);
  if (!p || (!body && !data.empty())) {
    if (p) pbuf_free(p);
    if (body) pbuf_free(body);
    return Error::kAgain;
  }
  if (body) {
    body->payload = const_cast<std::byte*>(data.data());
    pbuf_cat(p, body);
  }
  err_t result = to ? udp_sendto(pcb_, p, to, port) : udp_send(pcb_, p);
  pbuf_free(p);
  if (result == ERR_MEM || result == ERR_BUF) return Error::kAgain;
  if (result != ERR_OK) return FromErr(result).error();
  return data.size();
}

Result<size_t> DatagramSocket::SendTo(std::span<const std::byte> data, const Address& peer) {
  if (family_ == Family::kIpv4 && peer.family != Family::kIpv4) return Error::kInvalidArgument;
  ip_addr_t to = ToLwip(peer);
  return Transmit(data, &to, peer.port);
}

Result<size_t> DatagramSocket::Send(std::span<const std::byte> data) {
  if (!(pcb_->flags & UDP_FLAGS_CONNECTED)) return Error::kInvalidArgument;
  return Transmit(data, nullptr, 0);
}

Result<size_t> DatagramSocket::ReceiveFrom(std::span<std::byte> out, Address* peer) {
  if (Error error = TakeError(); error != Error::kOk) return error;
  Datagram* datagram = head_;
  if (!datagram) return Error::kAgain;
  size_t bytes = std::min<size_t>(out.size(), datagram->data->tot_len);
  pbuf_copy_partial(datagram->data, out.data(), static_cast<u16_t>(bytes), 0);
  if (peer) *peer = FromLwip(datagram->from, datagram->port);
  bytes_ -= datagram->data->tot_len + kOverhead;
  head_ = datagram->next;
  if (!head_) tail_ = nullptr;
  pbuf_free(datagram->data);
  delete datagram;
  return bytes;
}

Result<Address> DatagramSocket::Local() const {
  Address address = FromLwip(pcb_->local_ip, pcb_->local_port);
  if (IP_IS_ANY_TYPE_VAL(pcb_->local_ip)) address = Address::Any(family_, pcb_->local_port);
  return address;
}

Result<Address> DatagramSocket::Peer() const {
  if (!(pcb_->flags & UDP_FLAGS_CONNECTED)) return Error::kNotFound;
  return FromLwip(pcb_->remote_ip, pcb_->remote_port);
}

Status DatagramSocket::SetOption(Option option, bool on) {
  switch (option) {
    case Option::kReuseAddress:
      if (on)
        ip_set_option(pcb_, SOF_REUSEADDR);
      else
        ip_reset_option(pcb_, SOF_REUSEADDR);
      return {};
    case Option::kIpv6Only:
      if (family_ != Family::kIpv6) return Error::kInvalidArgument;
      only6_ = on;
      return {};
    default:
      return Error::kInvalidArgument;
  }
}

}  // namespace librettos::sockets
