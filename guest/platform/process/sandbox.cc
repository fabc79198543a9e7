#include "guest/platform/process/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace librettos::process {
namespace {

// Calls that take nothing dangerous on any of the domain's descriptors.
constexpr int kAllowed[] = {
    SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readv),         SCMP_SYS(writev),
    SCMP_SYS(pread64),      SCMP_SYS(recvmsg),        SCMP_SYS(sendmsg),       SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),       SCMP_SYS(accept4),        SCMP_SYS(epoll_ctl),     SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),  SCMP_SYS(epoll_pwait2),   SCMP_SYS(eventfd2),      SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),    SCMP_SYS(fstat),          SCMP_SYS(newfstatat),    SCMP_SYS(openat2),
    SCMP_SYS(getdents64),   SCMP_SYS(lseek),          SCMP_SYS(close),         SCMP_SYS(munmap),
    SCMP_SYS(brk),          SCMP_SYS(madvise),        SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),
    SCMP_SYS(futex),        SCMP_SYS(sched_yield),    SCMP_SYS(rseq),          SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(getpid),        SCMP_SYS(gettid),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

// Not F_SETFL: a doorbell that is shared with a peer must stay non-blocking.
constexpr int kFcntlCommands[] = {F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_ADD_SEALS, F_GET_SEALS};

bool AllowAll(scmp_filter_ctx filter) {
  for (const int call : kAllowed) {
    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) != 0) return false;
  }
  for (const int command : kFcntlCommands) {
    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                         SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command))) != 0) {
      return false;
    }
  }
  // Memory, but nothing executable.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) != 0)
      return false;
  }
  if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mremap), 0) != 0) return false;
  // Panic's abort().
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                          SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()))) == 0;
}

}  // namespace

Status InstallSandbox() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::kPermission;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (!filter) return Error::kExhausted;
  // A binary search instead of a list: these checks are on the forwarding path.
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const bool loaded = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 && AllowAll(filter) &&
                      seccomp_load(filter) == 0;
  seccomp_release(filter);
  return loaded ? Status() : Status(Error::kUnsupported);
}

}  // namespace librettos::process
