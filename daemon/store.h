// The state file: one file that is replaced as a whole, so that a crash at any moment leaves the old or the
// new state.
//
// Layout: a line "librettos-state <version> <bytes> <checksum>", then a serialized State. A file that does
// not check is left where it is, and an error returned: to go on without it would destroy every running
// domain as unknown.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/state.pb.h"

namespace librettos::daemon {

inline constexpr int kStateVersion = 1;

class Store {
 public:
  // `directory` must exist.
  explicit Store(std::string directory) : directory_(std::move(directory)) {}
  // Not OK: the file exists and cannot be used; the text names it and says what to do. No file: an empty
  // State.
  absl::StatusOr<State> Load() const;
  // Durable when it returns OK; on an error the file is as it was.
  absl::Status Save(const State& state);
  std::string path() const { return directory_ + "/state"; }

 private:
  std::string directory_;
};

}  // namespace librettos::daemon
