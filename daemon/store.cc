#include "daemon/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "guest/platform/fault_point.h"
#include "hypervisor/fnv.h"

namespace librettos::daemon {
namespace {

absl::Status HostError(absl::string_view what, const std::string& path, int error) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", strerror(error)));
}

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return HostError("cannot write", path, errno);
    bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<State> Store::Load() const {
  State state;
  int fd = open(path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return state;
  if (fd < 0) return HostError("cannot open the state file", path(), errno);
  absl::Cleanup close_it = [fd] { close(fd); };
  std::string content;
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return HostError("cannot read the state file", path(), errno);
    content.append(buffer, n);
  }
  auto corrupt = [this](absl::string_view why) {
    return absl::DataLossError(absl::StrCat("the state file ", path(), " cannot be used: ", why,
                                            ". It was left as it is. Restore it from a backup, or move it "
                                            "away to start with nothing (domains that still run "
                                            "are then destroyed)"));
  };
  auto end = content.find('\n');
  if (end == std::string::npos) return corrupt("it has no header line");
  std::vector<std::string> header = absl::StrSplit(content.substr(0, end), ' ');
  int version = 0;
  uint64_t bytes = 0;
  if (header.size() != 4 || header[0] != "librettos-state" || !absl::SimpleAtoi(header[1], &version) ||
      !absl::SimpleAtoi(header[2], &bytes)) {
    return corrupt("its header line is malformed");
  }
  if (version != kStateVersion) {
    return corrupt(
        absl::StrCat("it is of version ", version, ", and this librettosd knows version ", kStateVersion));
  }
  absl::string_view body = absl::string_view(content).substr(end + 1);
  if (body.size() != bytes)
    return corrupt(absl::StrCat("it holds ", body.size(), " bytes instead of ", bytes));
  if (absl::StrCat(absl::Hex(Fnv1a(body))) != header[3]) return corrupt("its checksum is wrong");
  if (!state.ParseFromArray(body.data(), static_cast<int>(body.size())))
    return corrupt("its content does not parse");
  return state;
}

absl::Status Store::Save(const State& state) {
  std::string body = state.SerializeAsString();
  std::string header =
      absl::StrCat("librettos-state ", kStateVersion, " ", body.size(), " ", absl::Hex(Fnv1a(body)), "\n");
  std::string temporary = path() + ".new";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return HostError("cannot create", temporary, errno);
  absl::Status status = WriteAll(fd, header, temporary);
  if (status.ok()) status = WriteAll(fd, body, temporary);
  if (status.ok() && fsync(fd) != 0) status = HostError("cannot flush", temporary, errno);
  if (close(fd) != 0 && status.ok()) status = HostError("cannot close", temporary, errno);
  FAULT_POINT("daemon.state-written");
  if (status.ok() && rename(temporary.c_str(), path().c_str()) != 0) {
    status = HostError("cannot replace", path(), errno);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  FAULT_POINT("daemon.state-replaced");
  // The rename itself is durable only with its directory. Past it the new state stands, so a failure here is
  // not one.
  int directory = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return absl::OkStatus();
}

}  // namespace librettos::daemon
