#include "guest/platform/process/control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace librettos::process {
namespace {

constexpr size_t kMaxPacket = sizeof(WireHeader) + kMaxPathBytes + kMaxValueBytes;
constexpr int kMessagesPerTurn = 256;

}  // namespace

Control::Control(ProcessLoop& loop, Descriptor listening, ControlClient* client)
    : loop_(loop), client_(client), listening_(std::move(listening)) {
  accepting_.control = this;
  turning_.control = this;
  fcntl(listening_.get(), F_SETFL, fcntl(listening_.get(), F_GETFL) | O_NONBLOCK);
  if (!loop_.Add(listening_.get(), EPOLLIN, &accepting_).ok()) Panic("the control socket cannot be watched");
}

Control::~Control() {
  if (connection_.valid()) loop_.Remove(connection_.get());
  loop_.Remove(listening_.get());
}

void Control::Accept() {
  // The newest daemon is the right one: an older one is dead or about to be.
  for (;;) {
    const int fd = accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (connection_.valid()) Disconnect("");
    connection_.Reset(fd);
    ++connections_;
    WatchConnection();
  }
}

void Control::WatchConnection() {
  watching_output_ = !queue_.empty();
  if (!loop_.Add(connection_.get(), watching_output_ ? EPOLLIN | EPOLLOUT : EPOLLIN, &turning_).ok()) {
    Disconnect("control: the connection cannot be watched");
  }
}

void Control::Disconnect(std::string_view why) {
  if (!why.empty()) Log(why);
  if (connection_.valid()) loop_.Remove(connection_.get());
  connection_.Reset();
  greeted_ = false;
  ++connections_;
  queue_.clear();
}

void Control::Turn() {
  if (!queue_.empty()) SendQueued();
  for (int budget = kMessagesPerTurn; budget > 0 && connection_.valid(); --budget) {
    if (!ReceiveOne()) return;
  }
}

bool Control::ReceiveOne() {
  alignas(WireHeader) std::byte packet[kMaxPacket + 1];
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * (kMaxDescriptors + 1))];
  iovec part = {packet, sizeof(packet)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof(ancillary);
  const ssize_t got = recvmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    Disconnect("control: the daemon's connection broke");
    return false;
  }
  InMessage message;
  bool good = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
      Descriptor owned(fd);  // Closed right here if there are too many.
      if (message.descriptor_count < kMaxDescriptors) {
        message.descriptors[message.descriptor_count++] = std::move(owned);
      } else {
        good = false;
      }
    }
  }
  if (got == 0) {
    Disconnect("control: the daemon closed the connection");
    return false;
  }
  const size_t length = static_cast<size_t>(got);
  if (good && length >= sizeof(WireHeader)) {
    memcpy(&message.header, packet, sizeof(WireHeader));
    const char* text = reinterpret_cast<const char*>(packet) + sizeof(WireHeader);
    good = message.header.path_bytes <= kMaxPathBytes && message.header.value_bytes <= kMaxValueBytes &&
           length == sizeof(WireHeader) + message.header.path_bytes + message.header.value_bytes;
    if (good) {
      message.path = {text, message.header.path_bytes};
      message.value = {text + message.header.path_bytes, message.header.value_bytes};
    }
  } else {
    good = false;
  }
  const uint64_t connection = connections_;
  if (good) good = Handle(message);
  if (connection != connections_) return false;
  if (!good) {
    ++violations_;
    Disconnect("control: malformed packet from the daemon; connection closed");
    return false;
  }
  return true;
}

bool Control::Handle(InMessage& message) {
  const bool hello = message.header.type == static_cast<uint16_t>(WireType::kHello);
  if (hello == greeted_) return false;  // Exactly the first message is a hello.
  if (!hello) return client_->OnMessage(message);
  const DomainId id = message.header.number;
  if (message.header.a != kWireVersion || id == kControlDomain || (self_ != 0 && id != self_)) return false;
  self_ = id;
  greeted_ = true;
  client_->OnConnected();
  return true;
}

Control::Sent Control::SendNow(std::span<const std::byte> packet, std::span<const int> descriptors) {
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  iovec part = {const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = ancillary;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (sendmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::kDone;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: too many descriptors under way, until the daemon takes some.
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) return Sent::kFull;
    return Sent::kBroken;
  }
}

void Control::Send(const OutMessage& message) {
  if (!greeted_) return;
  std::byte packet[kMaxPacket];
  WireHeader header{};
  if (message.path.size() > kMaxPathBytes || message.value.size() > kMaxValueBytes) return;
  header.type = static_cast<uint16_t>(message.type);
  header.path_bytes = static_cast<uint16_t>(message.path.size());
  header.value_bytes = static_cast<uint32_t>(message.value.size());
  header.id = message.id;
  header.number = message.number;
  header.a = message.a;
  header.b = message.b;
  size_t length = sizeof(header);
  memcpy(packet, &header, sizeof(header));
  // Not memcpy: an empty view may have no address.
  length += message.path.copy(reinterpret_cast<char*>(packet) + length, message.path.size());
  length += message.value.copy(reinterpret_cast<char*>(packet) + length, message.value.size());
  size_t count = 0;
  while (count < kMaxDescriptors && message.descriptors[count] >= 0) ++count;

  if (queue_.empty()) {
    switch (SendNow({packet, length}, {message.descriptors.data(), count})) {
      case Sent::kDone:
        return;
      case Sent::kBroken:
        return Disconnect("control: the daemon's connection broke");
      case Sent::kFull:
        break;
    }
  }
  if (queue_.size() >= kMaxQueued) return Disconnect("control: the daemon takes nothing; connection closed");
  Queued queued;
  queued.bytes.assign(packet, packet + length);
  for (size_t i = 0; i < count; ++i) {
    queued.descriptors[i] = Descriptor(fcntl(message.descriptors[i], F_DUPFD_CLOEXEC, 0));
    if (!queued.descriptors[i].valid()) return Disconnect("control: out of descriptors; connection closed");
  }
  queue_.push_back(std::move(queued));
  if (!watching_output_) WatchConnection();
}

void Control::SendQueued() {
  while (!queue_.empty()) {
    const Queued& next = queue_.front();
    int descriptors[kMaxDescriptors];
    size_t count = 0;
    while (count < kMaxDescriptors && next.descriptors[count].valid()) {
      descriptors[count] = next.descriptors[count].get();
      ++count;
    }
    const Sent sent = SendNow(next.bytes, {descriptors, count});
    if (sent == Sent::kFull) return;
    if (sent == Sent::kBroken) return Disconnect("control: the daemon's connection broke");
    queue_.pop_front();
  }
  WatchConnection();
}

void Control::Flush(Nanoseconds deadline) {
  while (!queue_.empty() && Now() < deadline) loop_.Wait(deadline);
}

}  // namespace librettos::process
