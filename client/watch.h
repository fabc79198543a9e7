// A background subscription to what changes (Statistics.Watch).
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "librettos/v1/statistics.grpc.pb.h"

namespace librettos {

// Made by Client::StartWatch. Reads the stream in a thread of its own until it ends, and can end it at any
// time.
class Watch {
 public:
  // Called in the watch's thread, one change at a time, in the stream's order: every present resource, then
  // `synced`, then each change. While it runs nothing is read; a slow one gets the newest state instead of
  // every step. It may call Cancel, but neither Wait nor the destructor.
  using Callback = std::function<void(const v1::WatchResponse&)>;

  Watch(v1::Statistics::StubInterface* stub, const v1::WatchRequest& request, bool wait_for_ready,
        Callback callback);
  // Cancels, and returns once the callback has returned for the last time.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Ends the stream. Returns at once; the callback may still run for a change that had been read.
  // Thread-safe.
  void Cancel();

  // Waits for the stream's end, at most so long. OK: it was cancelled. DEADLINE_EXCEEDED: it has not ended.
  // Else why it ended: UNAVAILABLE when the daemon went away (start a new watch then). Thread-safe.
  absl::Status Wait(absl::Duration timeout = absl::InfiniteDuration());

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace librettos
