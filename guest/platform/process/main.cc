// Start of a process domain: takes over what the daemon handed it, gives up the rest, and runs DomainMain.
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "guest/platform/process/life.h"
#include "guest/platform/process/process_platform.h"
#include "guest/platform/process/sandbox.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

constexpr char kFiles[] = "/srv";
constexpr Nanoseconds kSecond = 1000000000;
constexpr int kBadStart = 125;

bool IsControlSocket(int fd) {
  int listening = 0, type = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0) return false;
  length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return false;
  return listening && type == SOCK_SEQPACKET;
}

// As the specification says; by kCpusVariable of wire.h.
unsigned CpuCount() {
  const std::string_view text = getenv(kCpusVariable) ? getenv(kCpusVariable) : "";
  unsigned count = 1;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

int Main(int argc, char** argv) {
  if (!IsControlSocket(kControlDescriptor)) {
    Log("platform: descriptor 3 is not a listening control socket; this program is started by librettosd");
    return kBadStart;
  }
  close_range(kControlDescriptor + 1, ~0u, 0);
  signal(SIGPIPE, SIG_IGN);
  // Sleeps end when they are to end, not 50 us later.
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  // Threads of their own arenas would, to shrink them, read files that the sandbox forbids.
  mallopt(M_ARENA_MAX, 1);
  // A console that nobody reads must not stop the loop.
  struct stat console;
  if (fstat(2, &console) == 0 && (S_ISFIFO(console.st_mode) || S_ISSOCK(console.st_mode))) {
    fcntl(2, F_SETFL, fcntl(2, F_GETFL) | O_NONBLOCK);
  }

  ProcessPlatform platform(Descriptor(kControlDescriptor), kFiles, {argv + (argc > 0), argv + argc},
                           CpuCount());
  BeginLife(platform);
  if (!InstallSandbox().ok()) {
    Log("platform: the kernel refuses the seccomp filter; nothing runs unconfined");
    return kBadStart;
  }
  while (!platform.AwaitDaemon(Now() + kSecond)) {
  }
  PublishLife(platform);
  const int status = DomainMain(platform);
  platform.control().Flush(Now() + kSecond);
  return status;
}

}  // namespace
}  // namespace librettos::process

int main(int argc, char** argv) { return librettos::process::Main(argc, argv); }
