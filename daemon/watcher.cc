#include "daemon/watcher.h"

#include <utility>

#include "daemon/errors.h"
#include "daemon/services.h"

namespace librettos::daemon {

void Watcher::Start(std::vector<std::string> prefixes, std::optional<uid_t> viewer,
                    const grpc::Status& refused) {
  if (ended_) return;
  subscription_ = hub_.Subscribe(prefixes, viewer, [this] {
    // Later: it comes in the midst of a change.
    if (!std::exchange(pumps_, true)) turns_.Add([this] { Pump(); });
  });
  if (subscription_ == nullptr) return End(refused);
  const auto names = api_.NamesIn(prefixes);
  names_.assign(names.begin(), names.end());
  Pump();
}

void Watcher::Pump() {
  pumps_ = false;
  if (ended_ || writes_) return;
  if (names_.empty() && !initial_) {
    const auto names = subscription_->Take();
    names_.assign(names.begin(), names.end());
  }
  while (!names_.empty()) {
    message_ = api_.Describe(names_.front());
    names_.pop_front();
    if (initial_ && message_.has_deleted()) continue;
    writes_ = true;
    return StartWrite(&message_);
  }
  if (std::exchange(initial_, false)) {
    message_.Clear();
    message_.set_synced(true);
    writes_ = true;
    return StartWrite(&message_);
  }
  if (subscription_->closed()) {
    End(ToGrpc(MakeError(v1::ErrorInfo::TEMPORARY, {.resource = {},
                                                    .field = {},
                                                    .value = {},
                                                    .what = "librettosd ends, or the client read too slowly",
                                                    .next = "Watch again"})));
  }
}

// From here on only gRPC's callbacks add turns, OnDone as the last.
void Watcher::End(const grpc::Status& status) {
  if (std::exchange(ended_, true)) return;
  subscription_.reset();
  Finish(status);
}

void Watcher::OnWriteDone(bool ok) {
  turns_.Add([this, ok] {
    writes_ = false;
    ok ? Pump() : End(grpc::Status::CANCELLED);
  });
}

void Watcher::OnCancel() {
  turns_.Add([this] { End(grpc::Status::CANCELLED); });
}

void Watcher::OnDone() {
  turns_.Add([this] { delete this; });
}

}  // namespace librettos::daemon
