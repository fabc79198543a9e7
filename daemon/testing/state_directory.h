// A directory for the state file of a fuzzer: in memory if that is possible, as every call is written down
// and flushed.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "bazel/fuzz_input.h"

namespace librettos::daemon {

class StateDirectory {
 public:
  StateDirectory() {
    const char* given = getenv("TMPDIR");
    std::string name = absl::StrCat(given                                 ? given
                                    : std::filesystem::exists("/dev/shm") ? "/dev/shm"
                                                                          : "/tmp",
                                    "/librettosd-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~StateDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace librettos::daemon
