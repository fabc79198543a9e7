#include "hypervisor/process/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "hypervisor/process/confinement.h"
#include "hypervisor/process/image.h"
#include "hypervisor/process/in_thread.h"
#include "hypervisor/process/system_calls.h"

namespace librettos::process {
namespace {

constexpr int kStartTimeoutMs = 10'000;

absl::Status Errno(absl::string_view what) {
  const std::string text = absl::StrCat("cannot start the domain: ", what, ": ", strerror(errno));
  return errno == EPERM ? absl::PermissionDeniedError(absl::StrCat(text, "; the daemon must run as root"))
                        : absl::UnavailableError(text);
}

absl::Status WriteProc(pid_t pid, absl::string_view file, absl::string_view text) {
  const std::string path = absl::StrCat("/proc/", pid, "/", file);
  Descriptor descriptor(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!descriptor.valid() ||
      write(descriptor.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Errno(path);
  }
  return absl::OkStatus();
}

// In a thread of its own: supplementary groups would be inherited by the domain, and are dropped for this
// thread only (the system call acts on one thread, unlike the function of libc).
pid_t CloneConfined(const Confinement& confinement, int* pidfd, int* error) {
  pid_t pid = -1;
  const int refused = RunInThread([&] {
    if (syscall(SYS_setgroups, 0, nullptr) != 0) {
      *error = errno;
      return;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // No handler of the daemon's runs in the child.
    clone_args arguments{};
    arguments.flags =
        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<uint64_t>(pidfd);
    arguments.exit_signal = SIGCHLD;
    pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
    if (pid == 0) ConfineAndExecute(confinement);
    *error = errno;
  });
  if (refused != 0) *error = refused;
  return pid;
}

absl::Status AwaitExec(int status) {
  pollfd ready{.fd = status, .events = POLLIN, .revents = 0};
  int count;
  do {
    count = poll(&ready, 1, kStartTimeoutMs);
  } while (count < 0 && errno == EINTR);
  if (count <= 0)
    return absl::DeadlineExceededError("the domain did not start within 10 s; is the machine overloaded?");
  StepFailure failure;
  const ssize_t bytes = read(status, &failure, sizeof(failure));
  if (bytes == 0) return absl::OkStatus();  // Closed by the exec.
  if (bytes != static_cast<ssize_t>(sizeof(failure))) return Errno("the new process gave no report");
  return absl::FailedPreconditionError(
      absl::StrCat("the new domain cannot ", ToString(failure.step), ": ", strerror(failure.error)));
}

absl::StatusOr<Descriptor> OpenLog(const std::string& path) {
  Descriptor log(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!log.valid()) return Errno(absl::StrCat("log file ", path));
  return log;
}

}  // namespace

absl::StatusOr<Spawned> Spawn(const SpawnPlan& plan, const std::function<absl::Status(pid_t)>& record) {
  if (plan.uid == 0) return absl::InvalidArgumentError("a domain must not run as the host's root");
  absl::StatusOr<Descriptor> image = OpenImage(plan.image);
  if (!image.ok()) return image.status();
  if (!plan.files.empty()) {
    struct stat status;
    if (stat(plan.files.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
      return absl::NotFoundError(absl::StrCat("the domain's files ", plan.files, " are not a directory"));
    }
  }
  absl::StatusOr<Descriptor> log = OpenLog(plan.log);
  if (!log.ok()) return log.status();
  Descriptor null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  int pair[2];
  if (!null.valid() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return Errno("descriptors");
  Descriptor ours(pair[0]), theirs(pair[1]);

  absl::StatusOr<std::vector<sock_filter>> filter = SystemCallFilter(kImageDescriptor);
  if (!filter.ok()) return filter.status();

  std::vector<char*> arguments = {const_cast<char*>(plan.image.c_str())};
  for (const std::string& argument : plan.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::string cpus = absl::StrCat(kCpusVariable, "=", plan.cpus);
  char* const environment[] = {plan.cpus > 1 ? cpus.data() : nullptr, nullptr};
  const Confinement confinement{
      .image = image->get(),
      .log = log->get(),
      .null = null.get(),
      .control = plan.control,
      .status = theirs.get(),
      .parent_status = ours.get(),
      .files = plan.files.empty() ? nullptr : plan.files.c_str(),
      .hostname = plan.hostname.c_str(),
      .arguments = arguments.data(),
      .environment = environment,
      .filter = {.len = static_cast<unsigned short>(filter->size()), .filter = filter->data()}};
  int pidfd = -1, error = 0;
  Spawned spawned;
  spawned.pid = CloneConfined(confinement, &pidfd, &error);
  if (spawned.pid < 0) {
    errno = error;
    return Errno("clone");
  }
  spawned.pidfd = Descriptor(pidfd);
  theirs.Reset();

  const std::string map = absl::StrCat("0 ", plan.uid, " 1\n");
  absl::Status status = WriteProc(spawned.pid, "setgroups", "deny");
  if (status.ok()) status = WriteProc(spawned.pid, "gid_map", map);
  if (status.ok()) status = WriteProc(spawned.pid, "uid_map", map);
  if (status.ok()) status = record(spawned.pid);
  if (status.ok() && send(ours.get(), "", 1, MSG_NOSIGNAL) != 1) status = Errno("release");
  if (status.ok()) status = AwaitExec(ours.get());
  if (!status.ok()) {
    syscall(SYS_pidfd_send_signal, spawned.pidfd.get(), SIGKILL, nullptr, 0);
    siginfo_t info;
    waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(spawned.pidfd.get()), &info, WEXITED);
    return status;
  }
  return spawned;
}

}  // namespace librettos::process
