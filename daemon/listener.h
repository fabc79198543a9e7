// The unix socket of the API: who may connect, and who did.
//
// The daemon accepts by itself, as gRPC would not say who the client is. The socket's permissions let in its
// owner, its group (operators) and, by an access control list, the viewers' group; everybody else is refused
// by the kernel. Created and destroyed on the loop thread, or while the loop does not run.
#pragma once

#include <sys/un.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/peer.h"
#include "hypervisor/event_loop.h"

namespace librettos::daemon {

class Listener {
 public:
  struct Access {
    std::string operators;  // Group that may do everything besides root; empty: the daemon's own.
    std::string viewers;    // Group that may look; empty: none.
  };
  // Replaces a socket that a dead daemon left: the caller has made sure that no other daemon lives. If the
  // socket's file is removed later, it is made anew within a second.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(const std::string& socket, const Access& access,
                                                          EventLoop& loop);
  ~Listener();  // Removes the socket.

  // `connected` gets each connection's descriptor, which becomes its own, on the loop thread.
  void Start(std::function<void(int descriptor)> connected);
  // Any thread. No call of `connected` is under way or follows.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  Peers& peers() { return peers_; }

 private:
  Listener(const sockaddr_un& address, int descriptor, RoleGroups groups, EventLoop& loop);
  void Watch();
  void Check();
  void Accept() ABSL_LOCKS_EXCLUDED(mutex_);

  const sockaddr_un address_;
  int descriptor_;
  EventLoop& loop_;
  Peers peers_;
  EventLoop::TimerId retry_ = 0;
  EventLoop::TimerId check_ = 0;
  std::function<void(int)> connected_;
  absl::Duration tell_at_ = -absl::InfiniteDuration();  // When a refusal may be logged again.
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace librettos::daemon
