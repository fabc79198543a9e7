#include "hypervisor/process/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/process/in_thread.h"

namespace librettos::process {
namespace {

using hypervisor::NicConfig;

constexpr int kVnetHeaderBytes = 10;          // struct virtio_net_hdr; drivers/net/tap expects it.
constexpr int kTransmitQueueFrames = 10'000;  // Room for what arrives while a server is replaced.

std::string Describe(const NicConfig& config) {
  return absl::StrCat("TAP interface ", config.interface,
                      config.network_namespace.empty() ? "" : absl::StrCat(" in ", config.network_namespace));
}

absl::Status Errno(const NicConfig& config, absl::string_view step) {
  const std::string text = absl::StrCat(Describe(config), ": ", step, ": ", strerror(errno));
  switch (errno) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(text, "; the daemon needs CAP_NET_ADMIN there"));
    case EBUSY:
      return absl::AlreadyExistsError(absl::StrCat(text, "; another process has it open"));
    default:
      return absl::UnavailableError(text);
  }
}

absl::Status CheckName(absl::string_view what, const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
      name.find_first_of("/: \t\n%") == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      what, " must have 1 to 15 characters without '/', ':', '%' and spaces, not \"", name, "\""));
}

absl::StatusOr<Descriptor> OpenNamespace(const NicConfig& config) {
  const std::string path =
      config.network_namespace.empty() ? "/proc/thread-self/ns/net" : config.network_namespace;
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.valid()) return descriptor;
  if (errno == ENOENT) {
    return absl::NotFoundError(
        absl::StrCat("network namespace ", path, " does not exist; make it with 'ip netns add'"));
  }
  return Errno(config, absl::StrCat("open ", path));
}

// Runs `work` in a thread inside the namespace of `config`.
absl::Status Inside(const NicConfig& config, const std::function<absl::Status()>& work) {
  absl::StatusOr<Descriptor> space = OpenNamespace(config);
  if (!space.ok()) return space.status();
  absl::Status status;
  errno = RunInThread([&] {
    if (setns(space->get(), CLONE_NEWNET) == 0) {
      status = work();
    } else if (errno == EINVAL) {
      status =
          absl::InvalidArgumentError(absl::StrCat(config.network_namespace, " is not a network namespace"));
    } else {
      status = Errno(config, absl::StrCat("enter ", config.network_namespace));
    }
  });
  return errno == 0 ? status : Errno(config, "start a thread");
}

ifreq RequestFor(const std::string& name) {
  ifreq request{};
  memcpy(request.ifr_name, name.data(), name.size());
  return request;
}

absl::Status Attach(const NicConfig& config, OpenTap* tap) {
  tap->made = if_nametoindex(config.interface.c_str()) == 0;
  tap->descriptor = Descriptor(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tap->descriptor.valid()) return Errno(config, "open /dev/net/tun");
  const int descriptor = tap->descriptor.get();
  ifreq request = RequestFor(config.interface);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(descriptor, TUNSETIFF, &request) != 0) {
    if (errno != EINVAL) return Errno(config, "attach");
    return absl::FailedPreconditionError(absl::StrCat(
        Describe(config), " exists but is not a (single-queue) TAP interface; choose another name"));
  }
  const int header_bytes = kVnetHeaderBytes;
  if (ioctl(descriptor, TUNSETVNETHDRSZ, &header_bytes) != 0) return Errno(config, "set header size");
  if (ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
    return Errno(config, "set offloads");
  }
  return absl::OkStatus();
}

absl::Status SetUp(const NicConfig& config, bool made) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Errno(config, "socket");
  if (made && !config.bridge.empty()) {
    ifreq request = RequestFor(config.bridge);
    request.ifr_ifindex = static_cast<int>(if_nametoindex(config.interface.c_str()));
    if (ioctl(socket.get(), SIOCBRADDIF, &request) != 0) {
      if (errno == ENODEV || errno == EOPNOTSUPP) {
        return absl::NotFoundError(absl::StrCat(Describe(config), ": there is no bridge ", config.bridge));
      }
      return Errno(config, absl::StrCat("add to bridge ", config.bridge));
    }
  }
  ifreq request = RequestFor(config.interface);
  request.ifr_qlen = kTransmitQueueFrames;
  if (ioctl(socket.get(), SIOCSIFTXQLEN, &request) != 0) return Errno(config, "set queue length");
  request = RequestFor(config.interface);
  if (ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return Errno(config, "read flags");
  request.ifr_flags |= IFF_UP;
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return Errno(config, "set up");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OpenTap> OpenTapInterface(const NicConfig& config) {
  if (absl::Status named = CheckName("interface name", config.interface); !named.ok()) return named;
  if (!config.bridge.empty()) {
    if (absl::Status named = CheckName("bridge name", config.bridge); !named.ok()) return named;
  }
  OpenTap tap;
  absl::Status status = Inside(config, [&] {
    absl::Status attached = Attach(config, &tap);
    if (attached.ok()) attached = SetUp(config, tap.made);
    // Persistent only now: what failed half-way goes with its descriptor.
    if (attached.ok() && ioctl(tap.descriptor.get(), TUNSETPERSIST, 1) != 0)
      return Errno(config, "make persistent");
    return attached;
  });
  if (!status.ok()) return status;
  return tap;
}

absl::Status CheckTap(int descriptor, const NicConfig& config) {
  ifreq request{};
  if (ioctl(descriptor, TUNGETIFF, &request) != 0) {
    return absl::InvalidArgumentError("the descriptor is not an attached TAP");
  }
  if (strncmp(request.ifr_name, config.interface.c_str(), IFNAMSIZ) != 0 ||
      (request.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) {
    return absl::InvalidArgumentError(absl::StrCat("the descriptor is not one of ", Describe(config)));
  }
  absl::StatusOr<Descriptor> wanted = OpenNamespace(config);
  if (!wanted.ok()) return wanted.status();
  Descriptor actual(ioctl(descriptor, TUNGETDEVNETNS));
  struct stat a, b;
  if (!actual.valid() || fstat(actual.get(), &a) != 0 || fstat(wanted->get(), &b) != 0 ||
      a.st_ino != b.st_ino || a.st_dev != b.st_dev) {
    return absl::InvalidArgumentError(
        absl::StrCat("the descriptor is of another namespace than ", Describe(config)));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> TapMtu(const NicConfig& config) {
  uint32_t mtu = 0;
  absl::Status status = Inside(config, [&] {
    Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = RequestFor(config.interface);
    if (!socket.valid() || ioctl(socket.get(), SIOCGIFMTU, &request) != 0) return Errno(config, "read MTU");
    mtu = static_cast<uint32_t>(request.ifr_mtu);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return mtu;
}

void DiscardReceived(int descriptor) {
  // What fits into the interface's own queue and into the one before it (SetUp): more has come since.
  constexpr int kMostWaiting = 2 * kTransmitQueueFrames;
  char start[64];  // The rest of a frame goes with it.
  for (int i = 0; i < kMostWaiting && read(descriptor, start, sizeof(start)) > 0; ++i) continue;
}

TapUse UseOfTap(pid_t pid, const std::string& interface) {
  // Of Linux's tun_chr_show_fdinfo, and unix_show_fdinfo. Its threads share their descriptors: the system
  // call filter lets no other kind be made.
  const std::string open = absl::StrCat("iff:\t", interface, "\n");
  constexpr absl::string_view kUnread = "scm_fds: ", kNothingUnread = "scm_fds: 0\n";
  TapUse use = TapUse::kNone;
  std::error_code error;
  std::filesystem::directory_iterator entry(absl::StrCat("/proc/", pid, "/fdinfo"), error);
  for (const std::filesystem::directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::stringstream stream;
    stream << std::ifstream(entry->path()).rdbuf();
    const std::string text = stream.str();
    if (absl::StrContains(text, open)) return TapUse::kOpen;
    if (absl::StrContains(text, kUnread) && !absl::StrContains(text, kNothingUnread)) use = TapUse::kUnread;
  }
  return use;
}

absl::Status MakeTransient(int descriptor) {
  if (ioctl(descriptor, TUNSETPERSIST, 0) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot make the TAP interface transient: ", strerror(errno)));
}

}  // namespace librettos::process
