// A unary call that ends once something about a resource holds.
//
// Made on a gRPC thread; all its state is the loop thread's. gRPC's callbacks come on its own threads and
// only add to the turns, whose order holds: it deletes itself there, after all that was to be done for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "daemon/turns.h"
#include "daemon/watch.h"
#include "grpcpp/grpcpp.h"

namespace librettos::daemon {

class Waiter final : public grpc::ServerUnaryReactor {
 public:
  struct Options {
    std::string resource;
    std::optional<uid_t> viewer;  // Who waits (WatchHub::Subscribe).
    // Looked at first, and at each change of the resource; a value ends the call with it.
    std::function<std::optional<grpc::Status>()> look;
    absl::Duration patience;
    // How it ends if there are too many subscribers.
    grpc::Status refused;
  };
  Waiter(Turns& turns, WatchHub& hub) : turns_(turns), hub_(hub) {}
  // In a turn, once. After the patience and at the hub's end the call ends with OK.
  void Start(Options options);

 private:
  void OnCancel() override;
  void OnDone() override;
  void Look();
  void End(const grpc::Status& status);

  Turns& turns_;
  WatchHub& hub_;
  Options options_;
  std::shared_ptr<Subscription> subscription_;
  EventLoop::TimerId timer_ = 0;
  bool looks_ = false;  // Look is to come.
  bool ended_ = false;
};

}  // namespace librettos::daemon
