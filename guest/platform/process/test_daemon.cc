#include "guest/platform/process/test_daemon.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace librettos::process {

ListeningSocket::ListeningSocket() {
  char directory[] = "/tmp/control.XXXXXX";
  if (!mkdtemp(directory)) abort();
  directory_ = directory;
  path_ = directory_ + "/socket";
  listening_.Reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path_.c_str());
  if (bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) abort();
  if (listen(listening_.get(), 8) != 0) abort();
}

ListeningSocket::~ListeningSocket() {
  unlink(path_.c_str());
  rmdir(directory_.c_str());
}

Descriptor ListeningSocket::Connect() const {
  Descriptor connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path_.c_str());
  if (connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) abort();
  return connection;
}

void TestDaemon::Hello(DomainId id, uint32_t version) {
  Send({.type = WireType::kHello, .number = id, .a = version});
}

bool TestDaemon::Send(const OutMessage& message) {
  WireHeader header{};
  header.type = static_cast<uint16_t>(message.type);
  header.path_bytes = static_cast<uint16_t>(message.path.size());
  header.value_bytes = static_cast<uint32_t>(message.value.size());
  header.id = message.id;
  header.number = message.number;
  header.a = message.a;
  header.b = message.b;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += message.path;
  bytes += message.value;
  std::vector<int> descriptors;
  for (const int fd : message.descriptors) {
    if (fd >= 0) descriptors.push_back(fd);
  }
  return SendRaw(bytes.data(), bytes.size(), descriptors);
}

bool TestDaemon::SendRaw(const void* bytes, size_t length, std::vector<int> descriptors) {
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * 16)] = {};
  iovec part = {const_cast<void*>(bytes), length};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = ancillary;
    header.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size() * sizeof(int));
  }
  return sendmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(length);
}

void TestDaemon::Key(std::string_view path, std::string_view value) {
  Send({.type = WireType::kKey, .a = 1, .path = path, .value = value});
}
void TestDaemon::Gone(std::string_view path) { Send({.type = WireType::kKey, .a = 0, .path = path}); }
void TestDaemon::Synced(std::string_view path) { Send({.type = WireType::kSynced, .path = path}); }

std::optional<Packet> TestDaemon::Receive() {
  char bytes[4096];
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * 16)];
  iovec part = {bytes, sizeof(bytes)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof(ancillary);
  const ssize_t got = recvmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < static_cast<ssize_t>(sizeof(WireHeader))) return std::nullopt;
  Packet packet;
  memcpy(&packet.header, bytes, sizeof(WireHeader));
  EXPECT_EQ(static_cast<size_t>(got),
            sizeof(WireHeader) + packet.header.path_bytes + packet.header.value_bytes);
  packet.path.assign(bytes + sizeof(WireHeader), packet.header.path_bytes);
  packet.value.assign(bytes + sizeof(WireHeader) + packet.header.path_bytes, packet.header.value_bytes);
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
      packet.descriptors.emplace_back(fd);
    }
  }
  return packet;
}

bool TestDaemon::Closed() {
  while (Receive()) {
  }
  char byte;
  const ssize_t got = recv(connection_.get(), &byte, 1, MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

Domain::Domain(DomainId id, const char* files) : id_(id) {
  platform_ = std::make_unique<ProcessPlatform>(socket_.Take(), files, std::vector<std::string_view>{});
  daemon = Connect();
}

std::unique_ptr<TestDaemon> Domain::Connect() {
  auto connection = std::make_unique<TestDaemon>(socket_.Connect());
  connection->Hello(id_);
  Turn();
  return connection;
}

void Domain::Turn() {
  // Local sockets deliver at once: a few rounds take whatever was sent before, and what it brings about.
  // A deadline just ahead makes the loop look at descriptors every time.
  for (int round = 0; round < 8; ++round) platform_->loop().Wait(Now() + 1000);
}

std::vector<Packet> Domain::Messages() { return Messages(*daemon); }

std::vector<Packet> Domain::Messages(TestDaemon& from) {
  std::vector<Packet> all;
  Turn();
  while (auto packet = from.Receive()) all.push_back(std::move(*packet));
  return all;
}

std::vector<Packet> Only(std::vector<Packet> messages, WireType type) {
  std::vector<Packet> found;
  for (Packet& message : messages) {
    if (message.type() == type) found.push_back(std::move(message));
  }
  return found;
}

}  // namespace librettos::process
