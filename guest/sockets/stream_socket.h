// A TCP socket: fresh, listening or a connection. A connection that the program has closed lives on until its
// data is with the peer or the connection is gone; then it deletes itself.
#pragma once

#include "guest/net/tcp_flow.h"
#include "guest/sockets/socket.h"
#include "lwip/tcp.h"

namespace librettos::sockets {

class StreamSocket final : public SocketBase, public guest::TcpFlow {
 public:
  static StreamSocket* Create(Family family);
  uint32_t Readiness() const override;
  Status Bind(const Address& address) override;
  Status Listen(int backlog) override;
  SocketBase* Accept(Address* peer) override;
  Status Connect(const Address& peer) override;
  Result<size_t> Send(std::span<const std::byte> data) override;
  Result<size_t> Receive(std::span<std::byte> out) override;
  Status ShutdownWrite() override;
  Result<Address> Local() const override;
  Result<Address> Peer() const override;
  Status SetOption(Option option, bool on) override;
  bool listening() const override { return state_ == State::kListening; }
  void Close() override;

 private:
  // kAccepting: its listener has it, half open or in the accept queue.
  enum class State : uint8_t { kFresh, kListening, kConnecting, kAccepting, kOpen, kDead };

  explicit StreamSocket(Family family) : SocketBase(family, Type::kStream) {}
  ~StreamSocket() override;
  void Adopt(tcp_pcb* pcb);
  void Abort();
  void CloseListener();
  void LeaveListener();
  void FreeReceived();
  void FinishSending();
  void OnPumped() override;
  void OnPcbGone() override;
  static err_t OnReceive(void* self, tcp_pcb* pcb, pbuf* p, err_t error);
  static err_t OnSent(void* self, tcp_pcb* pcb, u16_t bytes);
  static err_t OnConnected(void* self, tcp_pcb* pcb, err_t error);
  static err_t OnAccept(void* self, tcp_pcb* pcb, err_t error);
  static void OnError(void* self, err_t error);
  static err_t OnPassiveOpen(u8_t id, tcp_pcb_listen* listener, tcp_pcb* pcb);

  State state_ = State::kFresh;
  bool closed_ = false;  // By the program.
  bool peer_closed_ = false;
  bool write_closed_ = false;
  bool fin_queued_ = false;  // lwIP was told.
  bool want_out_ = false;    // The program met a full queue.
  bool only6_ = false;
  uint8_t options_ = 0;
  // Received and not yet taken. The chain's tot_len means nothing: it may be longer than 64 KiB.
  pbuf* received_head_ = nullptr;
  pbuf* received_tail_ = nullptr;
  uint32_t received_offset_ = 0;
  // Of a listener.
  tcp_pcb_listen* listener_ = nullptr;
  uint32_t backlog_ = 0;
  uint32_t waiting_ = 0;  // Half open and queued.
  StreamSocket* queue_head_ = nullptr;
  StreamSocket* queue_tail_ = nullptr;
  // Of a connection that was not accepted yet.
  StreamSocket* parent_ = nullptr;
  StreamSocket* next_queued_ = nullptr;
  bool queued_up_ = false;
};

}  // namespace librettos::sockets
