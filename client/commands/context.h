// What every command of librettosctl is given: where to print, how, until when, and the daemon.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "google/protobuf/message.h"

namespace librettos::ctl {

enum class Output { kTable, kWide, kJson, kName };

// The outside of a run, so that tests can be one.
struct Io {
  std::ostream& out;
  std::ostream& err;
  // Whether `out` may be coloured: a terminal, and the user did not refuse (NO_COLOR, TERM=dumb).
  bool coloured = false;
};

// One run of the program. Options are filled in by the parser; a command then sets `what` and `run`.
struct Context {
  explicit Context(const Io& streams) : io(streams) {}

  Io io;
  std::string socket = std::string(kDefaultSocket);
  Output output = Output::kTable;
  std::optional<absl::Duration> timeout;
  std::vector<std::string> after_dashes;  // What follows "--" on the command line.
  bool had_dashes = false;

  // What is being attempted, for errors: "create guests/web".
  std::string what;
  std::function<absl::Status()> run;

  // Connects at the first call. The pointer lives as long as this.
  absl::StatusOr<Client*> Daemon();

  // For waits: what the user said, else `otherwise`.
  absl::Duration WaitTime(absl::Duration otherwise) const { return timeout.value_or(otherwise); }

  bool wide() const { return output == Output::kWide; }
  // Prints `message` as proto3 JSON; on one line if `compact`.
  absl::Status PrintJson(const google::protobuf::Message& message, bool compact = false);

 private:
  std::unique_ptr<Client> client_;
};

}  // namespace librettos::ctl
