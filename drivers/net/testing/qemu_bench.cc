#include "drivers/net/testing/qemu_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drivers/net/tap_header.h"

namespace librettos::fake {
namespace {

constexpr const char* kName = "wire0";
constexpr int kMtu = 9000, kQueue = 10000, kBuffer = 64 << 20;
constexpr int kStall = 50;  // Milliseconds without progress: the NIC takes no more now.

std::string Problem(const std::string& what) { return what + ": " + strerror(errno); }

// Once per process.
std::string OwnNamespace() {
  static const std::string* error = [] {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return new std::string(Problem("a network namespace"));
    // A view of /sys and /proc/sys that is of this namespace, seen by nobody else.
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
      return new std::string(Problem("/sys of the namespace"));
    }
    if (FILE* file = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w")) {
      fputs("1", file);  // The kernel says nothing on the wire by itself.
      fclose(file);
    }
    return new std::string();
  }();
  return *error;
}

}  // namespace

QemuBench::QemuBench(const std::string& device, Driver driver, const Traits& traits, bool msi_x)
    : driver_(driver), filters_(traits.filters), can_hold_(traits.can_hold) {
  missing_ = OwnNamespace();
  if (missing_.empty()) missing_ = OpenWire();
  if (!missing_.empty()) return;
  machine_ = QemuMachine::Start(device, tap_, msi_x);
  if (!machine_) missing_ = "qemu-system-x86_64 does not start";
}

QemuBench::~QemuBench() {
  machine_.reset();
  if (wire_ >= 0) close(wire_);
  if (tap_ >= 0) close(tap_);  // The interface goes with it.
}

std::string QemuBench::OpenWire() {
  tap_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK);  // Inherited by QEMU.
  if (tap_ < 0) return Problem("/dev/net/tun");
  ifreq request{};
  strcpy(request.ifr_name, kName);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(tap_, TUNSETIFF, &request) != 0) return Problem("TUNSETIFF");
  wire_ = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (wire_ < 0) return Problem("a packet socket");
  const int on = 1;
  setsockopt(wire_, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on));
  setsockopt(wire_, SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof(kBuffer));
  setsockopt(wire_, SOL_SOCKET, SO_SNDBUFFORCE, &kBuffer, sizeof(kBuffer));
  ifreq change{};
  strcpy(change.ifr_name, kName);
  change.ifr_mtu = kMtu;
  if (ioctl(wire_, SIOCSIFMTU, &change) != 0) return Problem("the interface's MTU");
  change.ifr_qlen = kQueue;
  if (ioctl(wire_, SIOCSIFTXQLEN, &change) != 0) return Problem("the interface's queue");
  change.ifr_flags = IFF_UP | IFF_NOARP;
  if (ioctl(wire_, SIOCSIFFLAGS, &change) != 0) return Problem("the interface");
  if (ioctl(wire_, SIOCGIFINDEX, &change) != 0) return Problem("the interface's index");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(0x0003);  // ETH_P_ALL
  address.sll_ifindex = change.ifr_ifindex;
  if (bind(wire_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return Problem("bind");
  return "";
}

Result<Nic*> QemuBench::Open(const MacAddress& address, uint32_t mtu) {
  device_ = {};
  device_.kind = DeviceKind::kPci;
  device_.descriptor = -1;
  device_.mtu = mtu;
  device_.function = machine_.get();
  memcpy(device_.address, address.data(), address.size());
  return driver_(device_);
}

void QemuBench::DeliverWhole(const Frame& frame, const Offload& offload) {
  VnetHeader header;
  if (!ToHeader(offload, static_cast<uint32_t>(frame.size()), header)) error_ = "bad offload in the test";
  iovec parts[2] = {{&header, sizeof(header)}, {const_cast<std::byte*>(frame.data()), frame.size()}};
  if (writev(wire_, parts, 2) < 0) error_ = Problem("a frame to the wire");
  ++delivered_;
}

uint64_t QemuBench::ReadByNic() const {
  unsigned long long count = 0;
  if (FILE* file = fopen("/sys/class/net/wire0/statistics/tx_packets", "r")) {
    if (fscanf(file, "%llu", &count) != 1) count = 0;
    fclose(file);
  }
  return count;
}

void QemuBench::Sync() {
  uint64_t read = ReadByNic();
  for (int stalled = 0; read < delivered_ && stalled < kStall; ++stalled) {
    usleep(1000);
    const uint64_t now = ReadByNic();
    if (now != read) stalled = 0;
    read = now;
  }
  machine_->Sync();
}

std::vector<Frame> QemuBench::TakeSent() {
  machine_->Sync();
  std::vector<Frame> frames;
  std::vector<std::byte> buffer(kMaxFrameBytes + 1);
  for (;;) {
    VnetHeader header;
    sockaddr_ll from{};
    iovec parts[2] = {{&header, sizeof(header)}, {buffer.data(), buffer.size()}};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t got = recvmsg(wire_, &message, 0);
    if (got < 0) return frames;
    if (from.sll_pkttype == PACKET_OUTGOING || got < static_cast<ssize_t>(sizeof(header) + 14)) continue;
    Frame frame(buffer.begin(), buffer.begin() + (got - static_cast<ssize_t>(sizeof(header))));
    // The kernel cuts and sums where it puts a frame on a wire; here is none.
    if (header.gso_type != VnetHeader::kNoSegments) {
      for (Frame& segment : Segments(frame, header.gso_size)) frames.push_back(std::move(segment));
      continue;
    }
    if (header.flags & VnetHeader::kNeedsChecksum) {
      const uint32_t sum = Sum(std::span(frame).subspan(header.csum_start));
      Put16(frame, header.csum_start + header.csum_offset, static_cast<uint16_t>(~sum));
    }
    frames.push_back(std::move(frame));
  }
}

}  // namespace librettos::fake
