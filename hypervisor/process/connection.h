// The daemon's end of one domain's control socket: packets in and out, non-blocking, with bounds.
//
// Trust: the domain is hostile. A packet that does not decode, is too long or carries too many descriptors
// ends the connection; so does a domain that does not read. At most kTurnMessages packets are taken per turn
// of the loop, so that one domain cannot starve others, and in the long run no more than Pace::per_second: a
// domain that sends more is not read from for kPause each time, and waits. Loop thread only.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "hypervisor/event_loop.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/message.h"

namespace librettos::process {

class Connection {
 public:
  static constexpr int kTurnMessages = 32;
  static constexpr absl::Duration kPause = absl::Milliseconds(5);

  // A token bucket. Far above what an honest domain has to say: a server tells ten words of each guest and
  // queue pair as they connect, then few.
  struct Pace {
    double per_second = 2'000;
    double burst = 4'096;
  };

  struct Handlers {
    // May call Send, Flush and Break, and must not destroy the connection.
    std::function<void(Message message)> message;
    // What else there is to send once replies are sent; called only when there is room.
    std::function<std::optional<Message>()> next;
    // The domain sends faster than its pace; it is left waiting for kPause.
    std::function<void()> paused;
    // The connection has ended; it may be destroyed from within. `violation`: by a fault of the domain.
    std::function<void(const std::string& reason, bool violation)> closed;
  };

  // `socket`: connected SOCK_SEQPACKET, non-blocking.
  Connection(EventLoop& loop, Descriptor socket, Handlers handlers, Pace pace);
  Connection(EventLoop& loop, Descriptor socket, Handlers handlers)
      : Connection(loop, std::move(socket), std::move(handlers), Pace()) {}
  ~Connection();

  // Queues and sends as much as there is room for.
  void Send(Message message);
  // Sends what `next` has.
  void Flush();
  // Nothing is queued.
  bool sent_all() const { return queue_.empty(); }
  // Ends the connection soon: `closed` follows, not from within.
  void Break(std::string reason, bool violation);

 private:
  void OnEvents(uint32_t events);
  void Receive();
  // False: no room, or broken.
  bool SendOne(const Message& message);
  void AwaitRoom(bool wanted);
  // Counts a message; true: it was one too many for now.
  bool TooMany();
  void Pause();
  void SetEvents();

  EventLoop& loop_;
  Descriptor socket_;
  Handlers handlers_;
  std::deque<Message> queue_;
  const Pace pace_;
  double tokens_;
  std::chrono::steady_clock::time_point counted_at_ = std::chrono::steady_clock::now();
  EventLoop::TimerId pause_timer_ = 0;  // Not 0: not read from.
  bool awaiting_room_ = false;
  bool broken_ = false;
  bool violation_ = false;
  std::string reason_;
};

}  // namespace librettos::process
