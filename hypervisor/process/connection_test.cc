// A connection with hostile domains at its other end.
#include "hypervisor/process/connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "hypervisor/process/watch_feed.h"

namespace librettos::process {
namespace {

int CountDescriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

std::string Packet(WireType type, const std::string& path = "", const std::string& value = "") {
  return Encode(Message{.type = type, .path = path, .value = value});
}

class ConnectionTest : public testing::Test {
 protected:
  static constexpr Connection::Pace kPace{.per_second = 1, .burst = 100};

  void SetUp() override {
    loop_ = *EventLoop::Create();
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    peer_ = Descriptor(pair[1]);
    connection_ = std::make_unique<Connection>(
        *loop_, Descriptor(pair[0]),
        Connection::Handlers{.message = [this](Message message) { messages_.push_back(std::move(message)); },
                             .next = []() -> std::optional<Message> { return std::nullopt; },
                             .paused = [this] { ++pauses_; },
                             .closed =
                                 [this](const std::string& reason, bool violation) {
                                   reason_ = reason;
                                   violation_ = violation;
                                   connection_.reset();
                                 }},
        kPace);
  }

  void Put(const std::string& packet, int descriptors = 0) {
    std::string copy = packet;
    iovec data{copy.data(), copy.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    const int descriptor = eventfd(0, EFD_CLOEXEC);
    if (descriptors > 0) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
      cmsghdr* part = CMSG_FIRSTHDR(&header);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
      for (int i = 0; i < descriptors; ++i)
        memcpy(CMSG_DATA(part) + i * sizeof(int), &descriptor, sizeof(int));
    }
    ASSERT_GE(sendmsg(peer_.get(), &header, MSG_NOSIGNAL), 0) << strerror(errno);
    close(descriptor);
  }

  // What is ready now, and what follows from it. A timer of no delay fires after a round of descriptors.
  void Turn(int times = 3) {
    for (int i = 0; i < times; ++i) {
      loop_->After(absl::ZeroDuration(), [this] { loop_->Stop(); });
      loop_->Loop();
    }
  }

  void ExpectViolation(const std::string& text) {
    Turn();
    EXPECT_EQ(connection_, nullptr);
    EXPECT_TRUE(violation_);
    EXPECT_NE(reason_.find(text), std::string::npos) << reason_;
    EXPECT_TRUE(messages_.empty());
  }

  std::unique_ptr<EventLoop> loop_;
  Descriptor peer_;
  std::unique_ptr<Connection> connection_;
  std::vector<Message> messages_;
  int pauses_ = 0;
  std::string reason_;
  bool violation_ = false;
};

TEST_F(ConnectionTest, TakesAGoodMessageWithDescriptors) {
  Put(Packet(WireType::kPublish, "/a/b", std::string("\0x", 2)));
  Put(Packet(WireType::kOffer), 2);
  Turn();
  ASSERT_EQ(messages_.size(), 2u);
  EXPECT_EQ(messages_[0].path, "/a/b");
  EXPECT_EQ(messages_[0].value, std::string("\0x", 2));
  EXPECT_EQ(messages_[1].descriptors.size(), 2u);
  EXPECT_NE(fcntl(messages_[1].descriptors[0]->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ConnectionTest, WhoSendsTooMuchWaitsAndLosesNothing) {
  constexpr size_t kMessages = 130;
  for (size_t i = 0; i < kMessages; ++i) Put(Packet(WireType::kPublish, "/a", std::to_string(i)));
  const auto clock = std::chrono::steady_clock::now();
  while (messages_.size() < kMessages &&
         std::chrono::steady_clock::now() - clock < std::chrono::seconds(20)) {
    Turn(1);
  }
  ASSERT_EQ(messages_.size(), kMessages);
  EXPECT_GT(pauses_, 0);
  for (size_t i = 0; i < kMessages; ++i) EXPECT_EQ(messages_[i].value, std::to_string(i));
  EXPECT_NE(connection_, nullptr);
}

TEST_F(ConnectionTest, RefusesAShortPacket) {
  Put("x");
  ExpectViolation("shorter than a header");
}

TEST_F(ConnectionTest, RefusesAnUnknownType) {
  Put(Packet(static_cast<WireType>(9999)));
  ExpectViolation("unknown message type 9999");
}

TEST_F(ConnectionTest, RefusesADaemonsMessage) {
  Put(Packet(WireType::kKey, "/a", "1"));
  ExpectViolation("unknown message type");
}

TEST_F(ConnectionTest, RefusesLengthsThatDoNotAddUp) {
  std::string packet = Packet(WireType::kPublish, "/a", "1");
  Put(packet + "x");
  ExpectViolation("wrong lengths");
}

TEST_F(ConnectionTest, RefusesLengthsThatOverflow) {
  std::string packet = Packet(WireType::kPublish, "/a", "1");
  const uint32_t huge = 0xffffffff;
  memcpy(packet.data() + offsetof(WireHeader, value_bytes), &huge, sizeof(huge));
  Put(packet);
  ExpectViolation("wrong lengths");
}

TEST_F(ConnectionTest, RefusesAnOversizePacket) {
  Put(Packet(WireType::kPublish, "/a", std::string(100'000, 'x')));
  ExpectViolation("too long");
}

TEST_F(ConnectionTest, RefusesMalformedPathsAndNames) {
  Put(Packet(WireType::kPublish, "/a/../b", "1"));
  ExpectViolation("malformed path");
}

TEST_F(ConnectionTest, RefusesSurplusDescriptorsAndClosesThem) {
  const int before = CountDescriptors();
  Put(Packet(WireType::kOffer), 16);
  ExpectViolation("too many descriptors");
  EXPECT_EQ(CountDescriptors(), before - 1);  // Less the connection's own.
}

TEST_F(ConnectionTest, RefusesDescriptorsThatDoNotSuitTheTypeAndClosesThem) {
  const int before = CountDescriptors();
  Put(Packet(WireType::kPublish, "/a", "1"), 2);
  ExpectViolation("with 2 descriptors instead of 0");
  EXPECT_EQ(CountDescriptors(), before - 1);
}

TEST_F(ConnectionTest, RefusesMissingDescriptors) {
  Put(Packet(WireType::kGrant));
  ExpectViolation("with 0 descriptors instead of 1");
}

TEST_F(ConnectionTest, EndsWithItsPeer) {
  peer_.Reset();
  Turn();
  EXPECT_EQ(connection_, nullptr);
  EXPECT_FALSE(violation_);
}

TEST_F(ConnectionTest, ADomainThatDoesNotReadIsDisconnected) {
  for (int i = 0; i < 100'000 && reason_.empty(); ++i) {
    connection_->Send(Message{.type = WireType::kKey, .path = "/a", .value = std::string(1000, 'x')});
    if (i % 1000 == 999) Turn(1);
  }
  EXPECT_EQ(connection_, nullptr);
  EXPECT_TRUE(violation_);
  EXPECT_NE(reason_.find("does not read"), std::string::npos);
}

TEST_F(ConnectionTest, ASlowReaderGetsAllInOrder) {
  // More than the socket holds, fewer than may be pending.
  constexpr uint32_t kCount = 900;
  for (uint32_t i = 0; i < kCount; ++i) {
    connection_->Send(
        Message{.type = WireType::kKey, .number = i, .path = "/a", .value = std::string(1000, 'x')});
  }
  uint32_t next = 0;
  for (int turns = 0; turns < 100'000 && next < kCount; ++turns) {
    char packet[2048];
    while (recv(peer_.get(), packet, sizeof(packet), MSG_DONTWAIT) > 0) {
      WireHeader header;
      memcpy(&header, packet, sizeof(header));
      ASSERT_EQ(header.number, next++);
    }
    Turn(1);
  }
  EXPECT_EQ(next, kCount);
  EXPECT_NE(connection_, nullptr);
}

}  // namespace
}  // namespace librettos::process
