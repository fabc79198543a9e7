// The forwarding loops of a server: the first is its own, each further CPU runs a Worker.
//
// The server's loop only. What changes tables, rings, roles or the NIC stops the workers first, by Stop or by
// itself where it says so; Resume lets them go on. With one CPU there is nothing to stop.
#pragma once

#include <array>
#include <memory>

#include "guest/platform/platform.h"
#include "netserver/forwarder.h"
#include "netserver/worker.h"

namespace librettos::netserver {

class Loops final {
 public:
  // A loop for each CPU of the platform, at most kMaxLoops. The workers are stopped.
  Status Start(Platform& platform, GuestTable& guests, LeaseTable& leases, StatisticsRow* totals);
  ~Loops() { End(); }
  // Ends the workers for good.
  void End();

  void Stop();
  bool stopped() const { return stopped_; }
  void Resume();

  // As of Forwarder, for all loops; stops the workers.
  void SetNic(Nic* nic, const AddressList& shared);
  void SetShared(const AddressList& shared);
  void Attach(Guest& guest, Nanoseconds now);
  void Detach(Guest& guest);
  // Stops the workers if it changes.
  void HoldLeases(bool hold);

  // The guest signalled.
  void Wake(Guest& guest, Nanoseconds now);
  // Every worker has turned since this was last true.
  bool AllTurned();
  void WakeAll();
  // True: guests were cut off since the last call (Guest::cut_off), and their channels are to be closed.
  bool TakeClosed() {
    // Looked at in every turn.
    return sharing_.closed.load(std::memory_order_relaxed) != 0 &&
           sharing_.closed.exchange(0, std::memory_order_relaxed) != 0;
  }
  Forwarder& first() { return *first_; }

 private:
  template <class Call>
  void ForAll(Call call) {
    call(*first_);
    for (uint32_t i = 0; i < workers_count_; ++i) call(workers_[i]->forwarder());
  }

  Sharing sharing_;
  bool stopped_ = true;
  LeaseTable* leases_ = nullptr;
  std::unique_ptr<Forwarder> first_;
  uint32_t workers_count_ = 0;  // Started.
  std::array<std::unique_ptr<Worker>, kMaxLoops - 1> workers_;
  std::array<uint64_t, kMaxLoops - 1> seen_turns_{};
};

}  // namespace librettos::netserver
