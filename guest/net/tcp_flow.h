// The sending side of one TCP connection above lwIP: holds what the program wrote and hands it to TCP in
// large segments, as far as the windows allow; repairs what large segments break in lwIP (tcp_repair.h);
// repeats the next hole at a partial acknowledgement (NewReno, RFC 6582), which lwIP does not.
//
// A flow with something to do is marked; PumpMarked, called by the stack's loop outside of lwIP, does it.
// Never inside an lwIP callback.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/net/send_queue.h"

struct tcp_pcb;

namespace librettos::guest {

class TcpFlow {
 public:
  TcpFlow() = default;
  TcpFlow(const TcpFlow&) = delete;

  // The pcb's ext_arg 0 refers to this flow from now on, until Detach or OnPcbGone.
  void Attach(tcp_pcb* pcb);
  void Detach();
  tcp_pcb* pcb() const { return pcb_; }

  size_t Queue(std::span<const std::byte> data);
  size_t room() const { return queue_.room(); }
  size_t queued() const { return queue_.size(); }    // Not yet acknowledged.
  size_t unsent() const { return queue_.unsent(); }  // Not yet handed to TCP.
  void Acknowledged(size_t bytes);                   // From lwIP's `sent` callback.
  void Mark();

  static void PumpMarked();
  // After lwIP's timers, or when the lower side has room again: every flow that has something unsent.
  static void MarkWaiting();
  static TcpFlow* Of(const tcp_pcb* pcb);

  // From the hook in front of lwIP's input.
  void BeforeInput();

 protected:
  virtual ~TcpFlow();
  virtual void OnPumped() = 0;  // May detach or delete the flow.
  // lwIP freed the pcb; the flow is detached already. From inside lwIP: must not call it.
  virtual void OnPcbGone() = 0;

 private:
  static void Destroyed(uint8_t id, void* data);
  friend const void* FlowCallbacks();
  void Pump();
  void Recover();
  bool Fill();  // True if anything was handed over.

  tcp_pcb* pcb_ = nullptr;
  TcpFlow* next_marked_ = nullptr;
  TcpFlow* previous_marked_ = nullptr;
  bool marked_ = false;
  bool recovering_ = false;
  uint32_t recover_ = 0;  // What was sent when the loss was noticed.
  uint32_t last_acknowledged_ = 0;
  SendQueue queue_;
};

}  // namespace librettos::guest
