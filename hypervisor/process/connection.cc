#include "hypervisor/process/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "hypervisor/process/watch_feed.h"

namespace librettos::process {
namespace {

// Room for as many descriptors as a message may have: the kernel discards surplus ones and says so
// (MSG_CTRUNC).
union ControlBuffer {
  char bytes[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  cmsghdr align;
};

std::vector<SharedDescriptor> TakeDescriptors(msghdr* header) {
  std::vector<SharedDescriptor> descriptors;
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number;
      memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof(number));
      descriptors.push_back(std::make_shared<Descriptor>(number));
    }
  }
  return descriptors;
}

}  // namespace

Connection::Connection(EventLoop& loop, Descriptor socket, Handlers handlers, Pace pace)
    : loop_(loop),
      socket_(std::move(socket)),
      handlers_(std::move(handlers)),
      pace_(pace),
      tokens_(pace.burst) {
  loop_.Watch(socket_.get(), EPOLLIN, [this](uint32_t events) { OnEvents(events); });
}

Connection::~Connection() {
  loop_.Cancel(pause_timer_);
  loop_.Unwatch(socket_.get());
}

void Connection::Send(Message message) {
  if (broken_) return;
  if (queue_.size() >= kMaxPendingMessages) {
    Break(absl::StrCat("does not read: ", kMaxPendingMessages, " messages are pending"), true);
    return;
  }
  queue_.push_back(std::move(message));
  Flush();
}

void Connection::Flush() {
  while (!broken_ && !awaiting_room_) {
    if (queue_.empty()) {
      std::optional<Message> next = handlers_.next();
      if (!next.has_value()) return;
      queue_.push_back(*std::move(next));
    }
    if (!SendOne(queue_.front())) return;
    queue_.pop_front();
  }
}

bool Connection::SendOne(const Message& message) {
  std::string packet = Encode(message);
  iovec data{.iov_base = packet.data(), .iov_len = packet.size()};
  ControlBuffer control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!message.descriptors.empty()) {
    const size_t bytes = message.descriptors.size() * sizeof(int);
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(bytes);
    for (size_t i = 0; i < message.descriptors.size(); ++i) {
      const int number = message.descriptors[i]->get();
      memcpy(CMSG_DATA(part) + i * sizeof(int), &number, sizeof(number));
    }
  }
  if (sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) {
    AwaitRoom(true);
  } else {
    Break(absl::StrCat("send: ", strerror(errno)), false);
  }
  return false;
}

void Connection::AwaitRoom(bool wanted) {
  awaiting_room_ = wanted;
  SetEvents();
}

void Connection::SetEvents() {
  loop_.Modify(socket_.get(), (pause_timer_ == 0 ? EPOLLIN : 0u) | (awaiting_room_ ? EPOLLOUT : 0u));
}

bool Connection::TooMany() {
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> since = now - std::exchange(counted_at_, now);
  tokens_ = std::min(pace_.burst, tokens_ + since.count() * pace_.per_second) - 1;
  return tokens_ < 0;
}

void Connection::Pause() {
  if (pause_timer_ != 0) return;  // Read from all the same, as the domain has hung up.
  pause_timer_ = loop_.After(kPause, [this] {
    pause_timer_ = 0;
    SetEvents();
  });
  SetEvents();
  handlers_.paused();
}

void Connection::Break(std::string reason, bool violation) {
  if (broken_) return;
  broken_ = true;
  violation_ = violation;
  reason_ = std::move(reason);
  // Makes the socket ready, so that OnEvents finds it broken.
  shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::OnEvents(uint32_t events) {
  if (!broken_ && (events & EPOLLOUT) != 0) {
    AwaitRoom(false);
    Flush();
  }
  if (!broken_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Receive();
  if (!broken_) return;
  loop_.Unwatch(socket_.get());
  auto closed = std::move(handlers_.closed);
  const std::string reason = std::move(reason_);
  const bool violation = violation_;
  closed(reason, violation);  // `this` may be gone from here on.
}

void Connection::Receive() {
  char packet[kMaxPacketBytes];
  for (int i = 0; i < kTurnMessages && !broken_; ++i) {
    iovec data{.iov_base = packet, .iov_len = sizeof(packet)};
    ControlBuffer control;
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof(control.bytes);
    const ssize_t bytes = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      Break(absl::StrCat("receive: ", strerror(errno)), false);
      return;
    }
    std::vector<SharedDescriptor> descriptors = TakeDescriptors(&header);
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      Break((header.msg_flags & MSG_TRUNC) != 0 ? "packet is too long" : "packet has too many descriptors",
            true);
      return;
    }
    if (bytes == 0 && descriptors.empty()) {
      // An empty packet and the end look alike; both end the connection.
      Break("closed by the domain", false);
      return;
    }
    absl::StatusOr<Message> message =
        DecodeFromDomain(absl::string_view(packet, static_cast<size_t>(bytes)), std::move(descriptors));
    if (!message.ok()) {
      Break(std::string(message.status().message()), true);
      return;
    }
    handlers_.message(*std::move(message));
    if (!broken_ && TooMany()) {
      Pause();
      return;
    }
  }
}

}  // namespace librettos::process
