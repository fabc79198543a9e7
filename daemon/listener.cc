#include "daemon/listener.h"

#include <errno.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "daemon/log.h"

namespace librettos::daemon {
namespace {

constexpr int kBacklog = 128;
constexpr absl::Duration kAcceptRetry = absl::Milliseconds(100);
constexpr absl::Duration kTellPeriod = absl::Minutes(1);  // Of refusals, which a client can repeat at will.
constexpr absl::Duration kCheckPeriod = absl::Seconds(1);

absl::Status RemoveStaleSocket(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " exists and is not a socket. Move it away, or give another --socket."));
  }
  if (unlink(path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot remove the stale socket ", path, ": ", strerror(errno)));
}

absl::StatusOr<gid_t> GroupId(const std::string& name, absl::string_view flag) {
  const struct group* entry = getgrnam(name.c_str());
  if (entry != nullptr) return entry->gr_gid;
  return absl::InvalidArgumentError(
      absl::StrCat("there is no group ", name, ". Make it, or leave out ", flag, "."));
}

// A second group that may connect: acl(5), in the form of the system.posix_acl_access attribute.
bool AdmitGroup(const std::string& socket, gid_t group) {
  constexpr __le16 kReadWrite = ACL_READ | ACL_WRITE;
  struct {
    posix_acl_xattr_header header{POSIX_ACL_XATTR_VERSION};
    posix_acl_xattr_entry entries[5];
  } list{.entries = {{ACL_USER_OBJ, kReadWrite, static_cast<__le32>(ACL_UNDEFINED_ID)},
                     {ACL_GROUP_OBJ, kReadWrite, static_cast<__le32>(ACL_UNDEFINED_ID)},
                     {ACL_GROUP, kReadWrite, group},
                     {ACL_MASK, kReadWrite, static_cast<__le32>(ACL_UNDEFINED_ID)},
                     {ACL_OTHER, 0, static_cast<__le32>(ACL_UNDEFINED_ID)}}};
  return setxattr(socket.c_str(), "system.posix_acl_access", &list, sizeof(list), 0) == 0;
}

// A listening socket at `address`, where there is none.
absl::StatusOr<int> Open(const sockaddr_un& address, const RoleGroups& groups) {
  const std::string socket = address.sun_path;
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  absl::Cleanup close_it = [descriptor] { close(descriptor); };
  if (descriptor < 0 || bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::InternalError(
        absl::StrCat("cannot listen on ", socket, ": ", strerror(errno), ". Check its directory."));
  }
  // All this before it listens: until then nobody can connect.
  if (chmod(socket.c_str(), 0660) != 0) {
    return absl::InternalError(absl::StrCat("cannot set the mode of ", socket, ": ", strerror(errno)));
  }
  if (chown(socket.c_str(), static_cast<uid_t>(-1), groups.operators) != 0) {
    return absl::InternalError(
        absl::StrCat("cannot give ", socket, " to the group ", groups.operators_name, ": ", strerror(errno)));
  }
  if (groups.viewers.has_value() && !AdmitGroup(socket, *groups.viewers)) {
    return absl::InternalError(
        absl::StrCat("cannot let the group of --viewer_group use ", socket, ": ", strerror(errno),
                     ". Does its file system have access control lists? Or leave out --viewer_group."));
  }
  if (listen(descriptor, kBacklog) != 0) {
    return absl::InternalError(absl::StrCat("cannot listen on ", socket, ": ", strerror(errno)));
  }
  std::move(close_it).Cancel();
  return descriptor;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(const std::string& socket, const Access& access,
                                                           EventLoop& loop) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the socket path ", socket, " is too long. Give a shorter --socket."));
  }
  memcpy(address.sun_path, socket.data(), socket.size());
  RoleGroups groups{.operators_name = access.operators, .operators = getegid(), .viewers = std::nullopt};
  if (!access.operators.empty()) {
    absl::StatusOr<gid_t> group = GroupId(access.operators, "--socket_group");
    if (!group.ok()) return group.status();
    groups.operators = *group;
  }
  if (!access.viewers.empty()) {
    absl::StatusOr<gid_t> group = GroupId(access.viewers, "--viewer_group");
    if (!group.ok()) return group.status();
    groups.viewers = *group;
  }
  if (auto status = RemoveStaleSocket(socket); !status.ok()) return status;
  absl::StatusOr<int> descriptor = Open(address, groups);
  if (!descriptor.ok()) return descriptor.status();
  return std::unique_ptr<Listener>(new Listener(address, *descriptor, std::move(groups), loop));
}

Listener::Listener(const sockaddr_un& address, int descriptor, RoleGroups groups, EventLoop& loop)
    : address_(address), descriptor_(descriptor), loop_(loop), peers_(std::move(groups)) {}

Listener::~Listener() {
  Stop();
  loop_.Cancel(retry_);
  loop_.Cancel(check_);
  if (connected_) loop_.Unwatch(descriptor_);
  close(descriptor_);
  unlink(address_.sun_path);
}

void Listener::Start(std::function<void(int)> connected) {
  connected_ = std::move(connected);
  Watch();
  check_ = loop_.After(kCheckPeriod, [this] { Check(); });
}

// Somebody who tidies up may have removed the socket: nobody could connect for as long as the daemon lives.
void Listener::Check() {
  check_ = loop_.After(kCheckPeriod, [this] { Check(); });
  struct stat info;
  if (lstat(address_.sun_path, &info) == 0 || errno != ENOENT) return;
  absl::StatusOr<int> fresh = Open(address_, peers_.groups());
  if (!fresh.ok()) {
    return Log(Level::kError, "the API's socket is gone and cannot be made anew",
               {{"error", std::string(fresh.status().message())}});
  }
  Log(Level::kWarning, "the API's socket was removed and is made anew", {{"socket", address_.sun_path}});
  if (retry_ == 0) loop_.Unwatch(descriptor_);
  close(descriptor_);
  descriptor_ = *fresh;
  if (retry_ == 0) Watch();
}

void Listener::Watch() {
  retry_ = 0;
  loop_.Watch(descriptor_, EPOLLIN, [this](uint32_t) { Accept(); });
}

void Listener::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

void Listener::Accept() {
  absl::MutexLock lock(&mutex_);
  const int connection = accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Probably out of descriptors: the client waits meanwhile.
    Log(Level::kWarning, "a client cannot be accepted", {{"error", strerror(errno)}});
    loop_.Unwatch(descriptor_);
    retry_ = loop_.After(kAcceptRetry, [this] { Watch(); });
    return;
  }
  const Peer peer = PeerOf(connection, peers_.groups());
  if (stopped_ || peer.role == Role::kNone) {
    close(connection);
    return;
  }
  if (!peers_.Add(connection, peer)) {
    close(connection);
    if (const absl::Duration now = EventLoop::Monotonic(); now >= tell_at_) {
      tell_at_ = now + kTellPeriod;
      Log(Level::kWarning, "a viewer has too many connections, and is refused more",
          {{"uid", absl::StrCat(peer.uid)}, {"most", absl::StrCat(kMaxConnectionsPerViewer)}});
    }
    return;
  }
  connected_(connection);
}

}  // namespace librettos::daemon
