// Operations: changes that take a while, kept after they are done. Loop thread only.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/model.h"

namespace librettos::daemon {

class Operations {
 public:
  Operations(Scheduler& scheduler, Model& model) : scheduler_(scheduler), model_(model) {}
  // Name of a new running operation. Not durable before the next Commit.
  std::string Begin(v1::Operation::Kind kind, const std::string& target, absl::string_view message);
  void Step(const std::string& name, absl::string_view message);
  void Succeed(const std::string& name, absl::string_view message, std::optional<absl::Duration> pause);
  void Fail(const std::string& name, absl::string_view why);
  // Undoes Begin, if what it belongs to could not be stored.
  void Discard(const std::string& name);
  v1::Operation* Find(const std::string& name);

 private:
  void End(const std::string& name, v1::Operation::State state, absl::string_view message);
  void Expire();

  Scheduler& scheduler_;
  Model& model_;
  std::map<uint64_t, absl::Duration> ended_;  // When those that are done were, Scheduler::Monotonic.
};

}  // namespace librettos::daemon
