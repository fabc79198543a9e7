// A call of Statistics.Watch: the state of all resources, then each change. Threads as in waiter.h. At most
// one message is under way, so that a client that does not read costs no more than its set of changed names.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/api.h"
#include "daemon/turns.h"
#include "daemon/watch.h"
#include "grpcpp/grpcpp.h"

namespace librettos::daemon {

class Watcher final : public grpc::ServerWriteReactor<v1::WatchResponse> {
 public:
  Watcher(Turns& turns, WatchHub& hub, Api& api) : turns_(turns), hub_(hub), api_(api) {}
  // In a turn, once. Empty `prefixes`: all. `refused`: how it ends if there are too many subscribers.
  void Start(std::vector<std::string> prefixes, std::optional<uid_t> viewer, const grpc::Status& refused);
  // In a turn.
  void End(const grpc::Status& status);

 private:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Pump();

  Turns& turns_;
  WatchHub& hub_;
  Api& api_;
  std::shared_ptr<Subscription> subscription_;
  std::deque<std::string> names_;  // To be told of.
  v1::WatchResponse message_;      // Under way.
  bool initial_ = true;
  bool pumps_ = false;  // Pump is to come.
  bool writes_ = false;
  bool ended_ = false;
};

}  // namespace librettos::daemon
