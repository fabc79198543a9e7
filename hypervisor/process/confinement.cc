#include "hypervisor/process/confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypervisor/process/limits.h"

namespace librettos::process {
namespace {

// Mount flags of mount(2); <sys/mount.h> clashes with <linux/mount.h>, which has the newer calls.
constexpr unsigned long kMountReadOnly = 1, kMountNoSuid = 2, kMountNoDev = 4, kMountNoExec = 8;
constexpr unsigned long kMountRemount = 32, kMountBind = 4096, kMountRecursive = 16384,
                        kMountPrivate = 1 << 18;
constexpr int kDetach = 2;

// Where the descriptors stand between clone and exec.
constexpr int kStatusDescriptor = kControlDescriptor + 1;
constexpr int kFilesDescriptor = kControlDescriptor + 3;
constexpr int kFirstSurplusDescriptor = kControlDescriptor + 4;

// Where the new root is put together: any directory that exists on every host and that everybody may enter.
constexpr char kScratch[] = "/proc";

constexpr rlim_t kMaxFileBytes = 1ull << 30;  // Bounds the log and each region of memory.

int status_descriptor;  // Private to the child: it has its own copy of all memory.

[[noreturn]] void Fail(Step step) {
  const StepFailure failure{step, errno};
  [[maybe_unused]] ssize_t sent = write(status_descriptor, &failure, sizeof(failure));
  _exit(127);
}

void Check(bool ok, Step step) {
  if (!ok) Fail(step);
}

bool Mount(const char* source, const char* target, const char* type, unsigned long flags, const char* data) {
  return syscall(SYS_mount, source, target, type, flags, data) == 0;
}

void PlaceDescriptors(const Confinement& plan) {
  const int wanted[] = {plan.null, plan.log, plan.log, plan.control, plan.status, plan.image};
  int high[6];
  // First out of the way of one another.
  for (int i = 0; i < 6; ++i) {
    high[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 16);
    Check(high[i] >= 0, Step::kDescriptors);
  }
  for (int i = 0; i < 6; ++i) {
    const bool closes = i == kStatusDescriptor || i == kImageDescriptor;
    Check(dup3(high[i], i, closes ? O_CLOEXEC : 0) == i, Step::kDescriptors);
  }
  status_descriptor = kStatusDescriptor;
  Check(syscall(SYS_close_range, kFilesDescriptor, ~0u, 0) == 0, Step::kDescriptors);
}

// Takes a copy of the mounts at `files`, still as the daemon's user, who may look into more directories.
void TakeFiles(const char* files) {
  const int tree = static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, files, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  Check(tree == kFilesDescriptor, Step::kFiles);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  Check(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) ==
            0,
        Step::kFiles);
}

void EnterEmptyRoot(const Confinement& plan) {
  Check(Mount(nullptr, "/", nullptr, kMountRecursive | kMountPrivate, nullptr), Step::kRoot);
  Check(Mount("none", kScratch, "tmpfs", kMountNoSuid | kMountNoDev | kMountNoExec, "mode=0755,size=4k"),
        Step::kRoot);
  Check(chdir(kScratch) == 0, Step::kRoot);
  if (plan.files != nullptr) {
    Check(mkdir("srv", 0555) == 0, Step::kFiles);
    Check(syscall(SYS_move_mount, kFilesDescriptor, "", AT_FDCWD, "srv", MOVE_MOUNT_F_EMPTY_PATH) == 0,
          Step::kFiles);
    close(kFilesDescriptor);
  }
  // The old root lands on top of the new one, and is taken off.
  Check(syscall(SYS_pivot_root, ".", ".") == 0, Step::kPivot);
  Check(syscall(SYS_umount2, ".", kDetach) == 0, Step::kPivot);
  Check(chdir("/") == 0, Step::kPivot);
  Check(
      Mount(nullptr, "/", nullptr,
            kMountRemount | kMountBind | kMountReadOnly | kMountNoSuid | kMountNoDev | kMountNoExec, nullptr),
      Step::kPivot);
}

void SetLimit(int resource, rlim_t value) {
  // Never above what the daemon itself may have: raising needs a capability that containers lack.
  rlimit limit;
  Check(syscall(SYS_prlimit64, 0, resource, nullptr, &limit) == 0, Step::kLimits);
  if (limit.rlim_max > value) limit.rlim_max = value;
  limit.rlim_cur = limit.rlim_max;
  Check(syscall(SYS_prlimit64, 0, resource, &limit, nullptr) == 0, Step::kLimits);
}

void DropCapabilities() {
  Check(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) == 0,
        Step::kCapabilities);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    Check(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, Step::kCapabilities);
  }
  Check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, Step::kCapabilities);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  Check(syscall(SYS_capset, &header, none) == 0, Step::kCapabilities);
  Check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, Step::kCapabilities);
}

// Dispositions that the daemon set or inherited must not reach the domain: ignored signals survive an exec.
void ResetSignals() {
  struct sigaction standard;
  memset(&standard, 0, sizeof(standard));
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
  // At its limit of file size a write is to fail, not to kill.
  standard.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

const char* ToString(Step step) {
  switch (step) {
    case Step::kRelease:
      return "be released";
    case Step::kDescriptors:
      return "arrange its descriptors";
    case Step::kFiles:
      return "mount the files read-only (does the directory exist?)";
    case Step::kUser:
      return "take its unprivileged user";
    case Step::kRoot:
      return "make an empty root file system";
    case Step::kPivot:
      return "enter the empty root file system";
    case Step::kHostname:
      return "set its host name";
    case Step::kLimits:
      return "set resource limits";
    case Step::kCapabilities:
      return "drop its capabilities";
    case Step::kFilter:
      return "install its system call filter (is seccomp in the kernel?)";
    case Step::kExec:
      return "execute the image (is it static, executable for everybody, and on a mount without noexec?)";
  }
  return "(unknown step)";
}

void ConfineAndExecute(const Confinement& plan) {
  status_descriptor = plan.status;
  ResetSignals();
  close(plan.parent_status);
  char released;
  // End of file: the daemon died before it had recorded us, and nobody would ever find us.
  if (read(plan.status, &released, 1) != 1) _exit(126);
  Check(setsid() >= 0, Step::kRelease);
  umask(0);
  PlaceDescriptors(plan);
  if (plan.files != nullptr) TakeFiles(plan.files);
  Check(syscall(SYS_setresgid, 0, 0, 0) == 0 && syscall(SYS_setresuid, 0, 0, 0) == 0, Step::kUser);
  EnterEmptyRoot(plan);
  Check(sethostname(plan.hostname, strlen(plan.hostname)) == 0, Step::kHostname);
  SetLimit(RLIMIT_NOFILE, kMaxOpenFiles);
  SetLimit(RLIMIT_CORE, 0);
  SetLimit(RLIMIT_NPROC, 64);
  SetLimit(RLIMIT_FSIZE, kMaxFileBytes);
  DropCapabilities();
  Check(syscall(SYS_close_range, kFirstSurplusDescriptor, ~0u, 0) == 0, Step::kDescriptors);
  // Nothing after it but the execution: what that and Fail need is allowed.
  Check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &plan.filter) == 0, Step::kFilter);
  syscall(SYS_execveat, kImageDescriptor, "", plan.arguments, plan.environment, AT_EMPTY_PATH);
  Fail(Step::kExec);
}

}  // namespace librettos::process
