#include "client/commands/finish.h"

#include <utility>

#include "client/commands/operation_view.h"

namespace librettos::ctl {

absl::Status FinishOperation(Context& context, Client& client, v1::Operation operation, bool wait,
                             absl::Duration default_timeout, const std::string& sentence,
                             const std::string& next_step) {
  if (!wait) {
    return PrintChanged(
        context, operation,
        absl::StrCat(operation.name(), " started; wait for it with: librettosctl operation wait ",
                     operation.name()));
  }
  absl::StatusOr<v1::Operation> done = std::move(operation);
  if (done->state() == v1::Operation::RUNNING) {
    done = client.WaitOperation(done->name(), context.WaitTime(default_timeout));
  }
  if (!done.ok()) return done.status();
  if (done->state() != v1::Operation::SUCCEEDED) {
    if (context.output == Output::kJson) {
      if (absl::Status status = context.PrintJson(*done); !status.ok()) return status;
    }
    v1::ErrorInfo info;
    info.set_resource(done->target());
    info.set_next_step(next_step);
    return WithErrorInfo(absl::UnknownError(absl::StrCat(done->name(), " failed: ", done->message())), info);
  }
  std::string text = sentence;
  if (done->has_pause()) absl::StrAppend(&text, ", frames held back for ", Time(FromProto(done->pause())));
  return PrintChanged(context, *done, text);
}

}  // namespace librettos::ctl
