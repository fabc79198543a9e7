#include "daemon/waiter.h"

#include <utility>

namespace librettos::daemon {

void Waiter::Start(Options options) {
  options_ = std::move(options);
  if (ended_) return;
  if (auto status = options_.look()) return End(*status);
  if (options_.patience <= absl::ZeroDuration()) return End(grpc::Status::OK);
  subscription_ = hub_.Subscribe({options_.resource}, options_.viewer, [this] {
    // Later: it comes in the midst of a change.
    if (!std::exchange(looks_, true)) turns_.Add([this] { Look(); });
  });
  if (subscription_ == nullptr) return End(options_.refused);
  timer_ = turns_.loop().After(options_.patience, [this] { End(grpc::Status::OK); });
}

void Waiter::Look() {
  looks_ = false;
  if (ended_) return;
  (void)subscription_->Take();
  if (auto status = options_.look()) return End(*status);
  if (subscription_->closed()) End(grpc::Status::OK);
}

// From here on only OnDone adds a turn: those added before come before the deletion.
void Waiter::End(const grpc::Status& status) {
  if (std::exchange(ended_, true)) return;
  turns_.loop().Cancel(timer_);
  subscription_.reset();
  Finish(status);
}

void Waiter::OnCancel() {
  turns_.Add([this] { End(grpc::Status::CANCELLED); });
}

void Waiter::OnDone() {
  turns_.Add([this] { delete this; });
}

}  // namespace librettos::daemon
