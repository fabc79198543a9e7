// librettosd: creates and supervises guests and network servers, and is driven over gRPC on a unix socket.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/api.h"
#include "daemon/controller.h"
#include "daemon/grpc_server.h"
#include "daemon/log.h"
#include "daemon/loop_scheduler.h"
#include "hypervisor/event_loop.h"
#include "hypervisor/process/process_hypervisor.h"
#include "hypervisor/xen/xen_hypervisor.h"

ABSL_FLAG(
    std::string, hypervisor, "auto",
    "What domains are: \"xen\", \"process\", or \"auto\": xen if this is Xen's domain 0, else process.");
ABSL_FLAG(std::string, run_directory, "/run/librettos",
          "Where running domains keep their control sockets, or on Xen archives of their files.");
ABSL_FLAG(std::string, state_directory, "/var/lib/librettos",
          "Where the specification of all resources is kept.");
ABSL_FLAG(std::string, log_directory, "/var/log/librettos", "Where the output of domains goes.");
ABSL_FLAG(std::string, socket, "/run/librettos/librettosd.sock",
          "Path of the unix socket that serves the API.");
ABSL_FLAG(std::string, socket_group, "",
          "Group that may use the socket and do everything, besides root. Default: root's only.");
ABSL_FLAG(std::string, viewer_group, "",
          "Group that may use the socket and look at everything, but change nothing. Default: none.");
ABSL_FLAG(std::string, server_image, "",
          "Binary of network servers. Default: librettos-netserver (on Xen librettos-netserver.elf) beside "
          "librettosd "
          "or in ../libexec/librettos.");
ABSL_FLAG(std::string, guest_image, "",
          "Binary of guests. Default: librettos-guest (on Xen librettos-guest.elf), likewise.");
ABSL_FLAG(uint32_t, memory_mib, 128,
          "Xen: memory of a domain whose specification says nothing, in MiB; 32 or more.");
ABSL_FLAG(uint32_t, vcpus, 1, "Xen: virtual CPUs of a domain whose specification says nothing; 1 to 64.");
ABSL_FLAG(uint32_t, uid_base, 0x70000000, "Domain n runs as user and group uid_base + n.");
ABSL_FLAG(bool, stop_domains_on_exit, false,
          "On SIGTERM or SIGINT, destroy all domains and remove the interfaces that were made. Without it "
          "they keep "
          "running, and the next librettosd takes them over.");

namespace librettos::daemon {
namespace {

constexpr absl::Duration kShutdownPatience = absl::Milliseconds(200);
constexpr absl::Duration kDestroyPatience = absl::Seconds(5);
constexpr absl::Duration kDestroyPoll = absl::Milliseconds(5);

int Fail(absl::string_view what) {
  Log(Level::kError, what);
  return 1;
}

std::string DefaultImage(const std::string& name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& candidate : {self / name, self / ".." / "libexec" / "librettos" / name}) {
    if (access(candidate.c_str(), R_OK) == 0) return std::filesystem::canonical(candidate, error).string();
  }
  return "";
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  std::error_code error;
  bool made = std::filesystem::create_directories(path, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot make the directory ", path, ": ", error.message()));
  if (made && chmod(path.c_str(), mode) != 0) {
    return absl::InternalError(absl::StrCat("cannot set the mode of ", path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

// Held until the process ends: two daemons over one state would undo each other's work.
absl::Status LockState(const std::string& directory) {
  std::string path = directory + "/lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return absl::InternalError(absl::StrCat("cannot open ", path, ": ", strerror(errno)));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  close(fd);
  return absl::FailedPreconditionError(absl::StrCat("another librettosd runs with the state directory ",
                                                    directory, ". Stop it first, or give another one."));
}

// The image that `flag` gives, or else the default one.
absl::StatusOr<std::string> Image(const std::string& given, const std::string& name, absl::string_view flag,
                                  int mode) {
  const std::string image = given.empty() ? DefaultImage(name) : given;
  if (access(image.c_str(), mode) == 0) return image;
  return absl::NotFoundError(
      absl::StrCat("the binary ", image.empty() ? name : image, " cannot be used. Give ", flag, "."));
}

absl::StatusOr<std::unique_ptr<hypervisor::Hypervisor>> CreateHypervisor(EventLoop& loop) {
  const std::string kind = absl::GetFlag(FLAGS_hypervisor);
  if (kind != "auto" && kind != "xen" && kind != "process") {
    return absl::InvalidArgumentError(
        absl::StrCat("--hypervisor=", kind, " is unknown. Use auto, xen or process."));
  }
  const bool on_xen = kind == "xen" || (kind == "auto" && xen::IsControlDomain(""));
  const std::string suffix = on_xen ? ".elf" : "";
  const int mode = on_xen ? R_OK : X_OK;
  auto server_image =
      Image(absl::GetFlag(FLAGS_server_image), "librettos-netserver" + suffix, "--server_image", mode);
  if (!server_image.ok()) return server_image.status();
  auto guest_image =
      Image(absl::GetFlag(FLAGS_guest_image), "librettos-guest" + suffix, "--guest_image", mode);
  if (!guest_image.ok()) return guest_image.status();
  Log(Level::kInfo, "starting", {{"hypervisor", on_xen ? "xen" : "process"}});
  if (on_xen) {
    const uint32_t memory_mib = absl::GetFlag(FLAGS_memory_mib), vcpus = absl::GetFlag(FLAGS_vcpus);
    if (memory_mib < 32 || vcpus < 1 || vcpus > 64) {
      return absl::InvalidArgumentError("--memory_mib is 32 or more, --vcpus 1 to 64.");
    }
    return xen::XenHypervisor::Create(loop, {.run_directory = absl::GetFlag(FLAGS_run_directory),
                                             .server_image = *server_image,
                                             .guest_image = *guest_image,
                                             .memory_mib = memory_mib,
                                             .vcpus = vcpus});
  }
  return process::ProcessHypervisor::Create(loop, {.run_directory = absl::GetFlag(FLAGS_run_directory),
                                                   .log_directory = absl::GetFlag(FLAGS_log_directory),
                                                   .server_image = *server_image,
                                                   .guest_image = *guest_image,
                                                   .uid_base = absl::GetFlag(FLAGS_uid_base)});
}

// Says from the loop itself, so only while it turns, that the daemon lives (sd_watchdog_enabled(3)).
void FeedWatchdog(EventLoop& loop, absl::Duration period) {
  sd_notify(0, "WATCHDOG=1");
  loop.After(period, [&loop, period] { FeedWatchdog(loop, period); });
}

// Ends the loop once all domains are gone, or after kDestroyPatience.
void AwaitIdle(EventLoop& loop, Controller& controller, absl::Duration waited) {
  if (controller.idle() || waited >= kDestroyPatience) {
    controller.CloseNics();
    return loop.Stop();
  }
  loop.After(kDestroyPoll,
             [&loop, &controller, waited] { AwaitIdle(loop, controller, waited + kDestroyPoll); });
}

int Main() {
  signal(SIGPIPE, SIG_IGN);
  // Before any thread is there, so that all of them inherit it and the signals come only by the descriptor.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  int signal_descriptor = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);

  const std::string state_directory = absl::GetFlag(FLAGS_state_directory);
  if (auto s = MakeDirectory(state_directory, 0700); !s.ok()) return Fail(s.message());
  if (auto s = MakeDirectory(std::filesystem::path(absl::GetFlag(FLAGS_socket)).parent_path(), 0755);
      !s.ok()) {
    return Fail(s.message());
  }
  if (auto s = LockState(state_directory); !s.ok()) return Fail(s.message());

  auto loop = EventLoop::Create();
  if (!loop.ok()) return Fail(loop.status().message());
  auto hypervisor = CreateHypervisor(**loop);
  if (!hypervisor.ok()) return Fail(hypervisor.status().message());

  LoopScheduler scheduler(**loop);
  Store store(state_directory);
  WatchHub hub;
  Controller controller(scheduler, **hypervisor, store, hub);
  if (auto s = controller.Recover(); !s.ok()) return Fail(s.message());
  Api api(controller);
  auto server = GrpcServer::Create(absl::GetFlag(FLAGS_socket),
                                   {absl::GetFlag(FLAGS_socket_group), absl::GetFlag(FLAGS_viewer_group)},
                                   **loop, api, hub);
  if (!server.ok()) return Fail(server.status().message());

  std::thread stopper;
  (*loop)->Watch(signal_descriptor, EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info;
    if (read(signal_descriptor, &info, sizeof(info)) != sizeof(info) || stopper.joinable()) return;
    sd_notify(0, "STOPPING=1");
    Log(Level::kInfo, "stopping", {{"signal", absl::StrCat(info.ssi_signo)}});
    // Handlers wait for the loop, so that the loop must turn until the last of them is done.
    stopper = std::thread([&] {
      (*server)->Shutdown(kShutdownPatience);
      (*loop)->Post([&] {
        if (!absl::GetFlag(FLAGS_stop_domains_on_exit)) return (*loop)->Stop();
        controller.DestroyAll();
        AwaitIdle(**loop, controller, absl::ZeroDuration());
      });
    });
  });
  if (uint64_t period_us = 0; sd_watchdog_enabled(0, &period_us) > 0) {
    FeedWatchdog(**loop, absl::Microseconds(period_us) / 3);
  }
  (*loop)->Post([] {
    sd_notify(0, "READY=1");
    Log(Level::kInfo, "ready", {{"socket", absl::GetFlag(FLAGS_socket)}});
  });
  (*loop)->Loop();
  stopper.join();
  (void)controller.model.Commit();
  server->reset();
  Log(Level::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace librettos::daemon

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Runs guests with TCP/IP stacks of their own, and the network servers that forward for them.\n"
      "Needs root. On SIGTERM it ends and leaves all domains running; the next librettosd takes them over.\n"
      "Exit status: 0 ended as asked, 1 could not start (standard error says why and what to do).\n"
      "Flags:  --helpfull lists all with their defaults.");
  // --help shows the flags of this file.
  absl::FlagsUsageConfig config;
  config.contains_help_flags = [](absl::string_view file) { return absl::EndsWith(file, "daemon/main.cc"); };
  absl::SetFlagsUsageConfig(config);
  auto rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1)
    return librettos::daemon::Fail(absl::StrCat("unexpected argument ", rest[1], ". See --help."));
  return librettos::daemon::Main();
}
