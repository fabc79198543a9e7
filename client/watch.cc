#include "client/watch.h"

#include <atomic>
#include <future>
#include <thread>
#include <utility>

#include "client/error.h"
#include "client/monotonic.h"
#include "grpcpp/client_context.h"

namespace librettos {

class Watch::State {
 public:
  State(v1::Statistics::StubInterface* stub, const v1::WatchRequest& request, bool wait_for_ready,
        Callback callback)
      : callback_(std::move(callback)) {
    context_.set_wait_for_ready(wait_for_ready);
    thread_ = std::thread([this, stub, request] { Run(stub, request); });
  }

  ~State() {
    Cancel();
    thread_.join();
  }

  void Cancel() {
    // Sequentially consistent, so that a cancellation seen by the stream is also seen as ours in Run.
    cancelled_.store(true);
    context_.TryCancel();
  }

  absl::Status Wait(absl::Duration timeout) {
    if (timeout >= kEndless) {
      end_.wait();
    } else if (end_.wait_for(absl::ToChronoNanoseconds(timeout)) != std::future_status::ready) {
      return absl::DeadlineExceededError("the watch has not ended");
    }
    return result_;
  }

 private:
  void Run(v1::Statistics::StubInterface* stub, const v1::WatchRequest& request) {
    auto reader = stub->Watch(&context_, request);
    v1::WatchResponse change;
    while (!cancelled_.load() && reader->Read(&change)) callback_(change);
    const grpc::Status status = reader->Finish();
    if (!cancelled_.load()) {
      result_ = status.ok() ? absl::UnavailableError("the daemon ended the watch") : FromGrpc(status);
    }
    ended_.set_value();
  }

  Callback callback_;
  grpc::ClientContext context_;
  std::atomic<bool> cancelled_{false};
  absl::Status result_;  // Written before ended_ is set, read after.
  // Of the standard library, as abseil's waits with a time-out end by the wall clock.
  std::promise<void> ended_;
  const std::shared_future<void> end_ = ended_.get_future().share();
  std::thread thread_;
};

Watch::Watch(v1::Statistics::StubInterface* stub, const v1::WatchRequest& request, bool wait_for_ready,
             Callback callback)
    : state_(std::make_unique<State>(stub, request, wait_for_ready, std::move(callback))) {}

Watch::~Watch() = default;

void Watch::Cancel() { state_->Cancel(); }

absl::Status Watch::Wait(absl::Duration timeout) { return state_->Wait(timeout); }

}  // namespace librettos
