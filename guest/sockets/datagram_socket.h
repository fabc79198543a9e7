// A UDP socket. A connected one whose datagram cannot be delivered (ICMP: port, protocol, host or net
// unreachable) reports kUnavailable once, by the next call that sends or receives or by SocketError.
#pragma once

#include "guest/net/udp_flow.h"
#include "guest/sockets/socket.h"
#include "lwip/udp.h"

namespace librettos::sockets {

class DatagramSocket final : public SocketBase, private guest::UdpFlow {
 public:
  static constexpr size_t kQueueBytes = 1 << 20;  // Received and not yet taken; more is dropped and counted.

  static DatagramSocket* Create(Family family);
  uint32_t Readiness() const override;
  Status Bind(const Address& address) override;
  Status Connect(const Address& peer) override;
  Result<size_t> Send(std::span<const std::byte> data) override;
  Result<size_t> Receive(std::span<std::byte> out) override { return ReceiveFrom(out, nullptr); }
  Result<size_t> SendTo(std::span<const std::byte> data, const Address& peer) override;
  Result<size_t> ReceiveFrom(std::span<std::byte> out, Address* peer) override;
  Status ShutdownWrite() override { return Error::kUnsupported; }
  Result<Address> Local() const override;
  Result<Address> Peer() const override;
  Status SetOption(Option option, bool on) override;
  void Close() override { delete this; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Datagram {
    Datagram* next;
    pbuf* data;
    ip_addr_t from;
    uint16_t port;
  };
  explicit DatagramSocket(Family family) : SocketBase(family, Type::kDatagram) {}
  ~DatagramSocket() override;
  void OnDatagram(pbuf* p, const ip_addr_t& from, uint16_t port) override;
  void OnUnreachable() override;
  Status EnsureBound();
  Result<size_t> Transmit(std::span<const std::byte> data, const ip_addr_t* to, uint16_t port);

  udp_pcb* pcb_ = nullptr;
  bool only6_ = false;
  Datagram* head_ = nullptr;
  Datagram* tail_ = nullptr;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace librettos::sockets
