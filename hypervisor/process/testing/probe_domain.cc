// A domain that publishes what it sees of the world, and does as /local/domain/<id>/control/do says:
// "exit <status>", "crash", "return", "return and break", "return and keep", "close", "return unread",
// "read <text>", "break", "garbage", "forbidden", "call <name>", "tighten". After each reconnection it
// declares its state anew.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "hypervisor/process/wire.h"

using namespace librettos::process;

extern char** environ;

namespace {

int connection = -1;
unsigned self = 0;
int memory = -1;
std::string nic;
int nic_descriptor = -1;
unsigned giving = 0, returned = 0;  // Of the NIC it has, and of the one it gave back.
std::string report;                 // Made once, before anything else is opened.

void Send(WireType type, const std::string& path, const std::string& value, unsigned number = 0,
          unsigned a = 0, int descriptor = -1) {
  WireHeader header{};
  header.type = static_cast<uint16_t>(type);
  header.path_bytes = static_cast<uint16_t>(path.size());
  header.value_bytes = static_cast<uint32_t>(value.size());
  header.number = number;
  header.a = a;
  std::string packet(reinterpret_cast<const char*>(&header), sizeof(header));
  packet += path + value;
  iovec data{packet.data(), packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &descriptor, sizeof(descriptor));
  }
  sendmsg(connection, &message, MSG_NOSIGNAL);
}

std::string Key(const std::string& key) { return "/local/domain/" + std::to_string(self) + "/" + key; }

std::string OpenResult(const char* path, int flags) {
  const int descriptor = open(path, flags, 0600);
  if (descriptor < 0) return std::to_string(errno);
  close(descriptor);
  return "opened";
}

std::string Outcome(long result) { return result >= 0 ? "done" : std::to_string(errno); }

// By its name in the order "call <name>"; these kill.
void Call(const std::string& name) {
  if (name == "fork") (void)fork();
  if (name == "clone") (void)syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (name == "execve") (void)syscall(SYS_execve, "/srv/file", nullptr, nullptr);
  if (name == "ptrace") (void)syscall(SYS_ptrace, 0, 0, nullptr, nullptr);
  if (name == "mount") (void)syscall(SYS_mount, "none", "/srv", "tmpfs", 0, nullptr);
  if (name == "unshare") (void)unshare(CLONE_NEWUSER);
  if (name == "inet") (void)socket(AF_INET, SOCK_STREAM, 0);
  if (name == "unix") (void)socket(AF_UNIX, SOCK_STREAM, 0);
  if (name == "bpf") (void)syscall(SYS_bpf, 0, nullptr, 0);
  if (name == "perf") (void)syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0);
  if (name == "keyctl") (void)syscall(SYS_keyctl, 0, 0);
  if (name == "io_uring") (void)syscall(SYS_io_uring_setup, 1, nullptr);
  if (name == "x32") (void)syscall(SYS_getpid | 0x40000000);
}

// As an image would that confines itself further: getppid is fatal from here on.
bool Tighten() {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{sizeof(code) / sizeof(code[0]), code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

std::string Look(int argc, char** argv) {
  std::string text;
  auto add = [&](const char* name, const std::string& value) {
    text += std::string(name) + "=" + value + "\n";
  };
  std::string descriptors;
  for (int i = 0; i < 4096; ++i) {
    if (fcntl(i, F_GETFD) >= 0) descriptors += std::to_string(i) + ",";
  }
  add("descriptors", descriptors);
  add("uid", std::to_string(getuid()) + "," + std::to_string(geteuid()) + "," + std::to_string(getgid()));
  add("groups", std::to_string(getgroups(0, nullptr)));
  add("pid", std::to_string(getpid()));
  add("leader", std::to_string(getsid(0) == getpid()));
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct caps[2] = {};
  syscall(SYS_capget, &header, caps);
  add("capabilities", std::to_string(caps[0].effective | caps[1].effective | caps[0].permitted |
                                     caps[1].permitted | caps[0].inheritable | caps[1].inheritable));
  int bounding = 0;
  for (int i = 0; i < 64; ++i) bounding += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
  add("bounding", std::to_string(bounding));
  add("no_new_privs", std::to_string(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  add("etc", OpenResult("/etc/passwd", O_RDONLY));
  add("proc", OpenResult("/proc/self/status", O_RDONLY));
  add("create", OpenResult("/file", O_RDWR | O_CREAT));
  add("read", OpenResult("/srv/file", O_RDONLY));
  add("write", OpenResult("/srv/file", O_WRONLY));
  add("parent", OpenResult("/../../etc/passwd", O_RDONLY));
  utsname names{};
  uname(&names);
  add("hostname", names.nodename);
  rlimit files{}, core{};
  getrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_CORE, &core);
  add("limits", std::to_string(files.rlim_max) + "," + std::to_string(core.rlim_max));
  add("environment", environ[0] == nullptr ? "empty" : environ[0]);
  add("arguments", argc > 1 ? argv[1] : "");
  add("blocking", Outcome(fcntl(kControlDescriptor, F_SETFL, 0)));
  int no = 0;
  add("fionbio", Outcome(ioctl(kControlDescriptor, FIONBIO, &no)));
  add("nonblocking", std::to_string((fcntl(kControlDescriptor, F_GETFL) & O_NONBLOCK) != 0));
  add("own", Outcome(fcntl(kControlDescriptor, F_SETOWN, 1)));
  add("execute", Outcome(mprotect(reinterpret_cast<void*>(0x1000), 4096, PROT_EXEC)));
  add("clone3", Outcome(syscall(SYS_clone3, nullptr, 0)));
  add("execveat", Outcome(syscall(SYS_execveat, AT_FDCWD, "/srv/file", nullptr, nullptr, 0)));
  add("setsockopt", Outcome(setsockopt(kControlDescriptor, SOL_SOCKET, SO_SNDBUF, &no, sizeof(no))));
  int threads = 0;
  std::thread([&] { threads = 1; }).join();
  add("threads", std::to_string(threads));
  return text;
}

void Declare() {
  Send(WireType::kPublish, Key("data/report"), report);
  Send(WireType::kGrant, "", "", 5, 0, memory);
  Send(WireType::kPublish, Key("data/statistics"), "5");
  Send(WireType::kWatch, Key("control"), "");
  if (nic_descriptor >= 0) Send(WireType::kHolding, nic, "", giving, 0, nic_descriptor);
  if (returned != 0) Send(WireType::kReturnDevice, nic, "", returned);
  Send(WireType::kDeclared, "", "");
}

void Break() {
  close(connection);
  connection = -1;
}

// Takes all that its NIC has received; says in how many frames `text` stands.
void ReadNic(const std::string& text) {
  char frame[2048];
  int found = 0;
  for (ssize_t bytes; (bytes = read(nic_descriptor, frame, sizeof(frame))) > 0;) {
    found += memmem(frame, static_cast<size_t>(bytes), text.data(), text.size()) != nullptr;
  }
  Send(WireType::kPublish, Key("data/found"), std::to_string(found));
}

void Obey(const std::string& order) {
  static std::string obeyed;  // Each connection tells of the order that stands.
  if (order == obeyed) return;
  obeyed = order;
  if (order.rfind("exit ", 0) == 0) _exit(atoi(order.c_str() + 5));
  if (order == "crash") __builtin_trap();
  if (order.rfind("call ", 0) == 0) Call(order.substr(5));
  if (order == "tighten" && Tighten()) (void)getppid();
  if (order == "break") Break();
  if (order == "garbage") (void)!write(connection, "garbage", 7);
  if (order == "forbidden") Send(WireType::kPublish, "/local/domain/0/data/x", "1");
  if (order.rfind("read ", 0) == 0) ReadNic(order.substr(5));
  if (order == "close") {
    close(nic_descriptor);
    nic_descriptor = -1;
  }
  if (order == "return and keep") Send(WireType::kReturnDevice, nic, "", giving);
  if (order == "return unread") {
    // With something of the daemon's still to be received.
    pollfd ready{connection, POLLIN, 0};
    poll(&ready, 1, -1);
    close(nic_descriptor);
    nic_descriptor = -1;
    Send(WireType::kReturnDevice, nic, "", giving);
    Send(WireType::kPublish, Key("data/waits"), "1");
    usleep(200'000);
  }
  if (order == "return" || order == "return and break") {
    close(nic_descriptor);
    nic_descriptor = -1;
    returned = giving;
    // The latter: as if the message were lost with its connection.
    if (order == "return") Send(WireType::kReturnDevice, nic, "", returned);
    if (order != "return") Break();
  }
}

void Receive() {
  char packet[sizeof(WireHeader) + kMaxPathBytes + kMaxValueBytes];
  iovec data{packet, sizeof(packet)};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t bytes = recvmsg(connection, &message, 0);
  if (bytes < static_cast<ssize_t>(sizeof(WireHeader))) {
    Break();
    return;
  }
  WireHeader header;
  memcpy(&header, packet, sizeof(header));
  const std::string path(packet + sizeof(header), header.path_bytes);
  const std::string value(packet + sizeof(header) + header.path_bytes, header.value_bytes);
  switch (static_cast<WireType>(header.type)) {
    case WireType::kHello:
      self = header.number;
      Declare();
      break;
    case WireType::kKey:
      if (path == Key("control/do") && header.a == 1) Obey(value);
      break;
    case WireType::kSynced:
      Send(WireType::kPublish, Key("data/synced"), path);
      break;
    case WireType::kDevice:
      nic = path;
      giving = header.number;
      returned = 0;
      memcpy(&nic_descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
      Send(WireType::kPublish, Key("data/nic"), path);
      break;
    default:
      break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  report = Look(argc, argv);
  memory = static_cast<int>(syscall(SYS_memfd_create, "statistics", MFD_ALLOW_SEALING | MFD_CLOEXEC));
  if (ftruncate(memory, 4096) != 0 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return 9;
  auto* words = static_cast<uint32_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0));
  words[0] = 0x6c627374;  // kStatisticsMagic
  words[1] = 1;           // kStatisticsVersion
  words[2] = 1;           // rows
  words[4] = 42;          // heartbeat
  printf("probe domain runs\n");
  fflush(stdout);
  for (;;) {
    pollfd ready[2] = {{kControlDescriptor, POLLIN, 0}, {connection, POLLIN, 0}};
    poll(ready, 2, -1);
    if ((ready[0].revents & POLLIN) != 0) {
      const int fresh = accept4(kControlDescriptor, nullptr, nullptr, SOCK_CLOEXEC);
      if (fresh >= 0) {
        if (connection >= 0) close(connection);
        connection = fresh;
        continue;
      }
    }
    if (connection >= 0 && ready[1].revents != 0) Receive();
  }
}
