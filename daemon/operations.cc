#include "daemon/operations.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/convert.h"
#include "daemon/log.h"

namespace librettos::daemon {
namespace {

constexpr absl::Duration kKept = absl::Hours(24);

uint64_t NumberOf(absl::string_view name) {
  uint64_t number = 0;
  if (!absl::ConsumePrefix(&name, "operations/op") || !absl::SimpleAtoi(name, &number)) return 0;
  return number;
}

}  // namespace

std::string Operations::Begin(v1::Operation::Kind kind, const std::string& target,
                              absl::string_view message) {
  Expire();
  uint64_t number = model_.NextOperation();
  v1::Operation& operation = model_.operations[number];
  operation.set_name(absl::StrCat("operations/op", number));
  operation.set_target(target);
  operation.set_kind(kind);
  operation.set_state(v1::Operation::RUNNING);
  operation.set_message(std::string(message));
  *operation.mutable_create_time() = ToProto(scheduler_.Wall());
  model_.Changed(operation.name());
  return operation.name();
}

v1::Operation* Operations::Find(const std::string& name) {
  auto it = model_.operations.find(NumberOf(name));
  // "operations/op007" is not the name of number 7.
  return it == model_.operations.end() || it->second.name() != name ? nullptr : &it->second;
}

void Operations::Step(const std::string& name, absl::string_view message) {
  v1::Operation* operation = Find(name);
  if (operation == nullptr || operation->state() != v1::Operation::RUNNING) return;
  operation->set_message(std::string(message));
  model_.MarkDirty();
  model_.Changed(name);
}

void Operations::Succeed(const std::string& name, absl::string_view message,
                         std::optional<absl::Duration> pause) {
  if (v1::Operation* operation = Find(name); operation != nullptr && pause.has_value()) {
    *operation->mutable_pause() = ToProto(*pause);
  }
  End(name, v1::Operation::SUCCEEDED, message);
}

void Operations::Fail(const std::string& name, absl::string_view why) {
  End(name, v1::Operation::FAILED, why);
}

void Operations::Discard(const std::string& name) {
  ended_.erase(NumberOf(name));
  if (model_.operations.erase(NumberOf(name)) != 0) model_.Changed(name);
}

void Operations::End(const std::string& name, v1::Operation::State state, absl::string_view message) {
  v1::Operation* operation = Find(name);
  if (operation == nullptr || operation->state() != v1::Operation::RUNNING) return;
  operation->set_state(state);
  operation->set_message(std::string(message));
  *operation->mutable_end_time() = ToProto(scheduler_.Wall());
  ended_[NumberOf(name)] = scheduler_.Monotonic();
  Log(Level::kInfo, "operation ended",
      {{"operation", name},
       {"target", operation->target()},
       {"state", v1::Operation::State_Name(state)},
       {"message", std::string(message)}});
  model_.MarkDirty();
  model_.Changed(name);
}

void Operations::Expire() {
  const absl::Duration now = scheduler_.Monotonic();
  for (auto it = model_.operations.begin(); it != model_.operations.end();) {
    bool done = it->second.state() != v1::Operation::RUNNING;
    // Those of a former daemon begin when they are first looked at. Not by their end_time: clocks are set.
    const absl::Duration ended = done ? ended_.try_emplace(it->first, now).first->second : now;
    bool old = now - ended > kKept || model_.operations.size() >= kMaxOperations;
    if (done && old) {
      ended_.erase(it->first);
      model_.Changed(it->second.name());
      it = model_.operations.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace librettos::daemon
