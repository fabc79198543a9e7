// A program on one CPU, its stack on another: all that they share is used from both at once.
#include <gtest/gtest.h>

#include <vector>

#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::sockets {
namespace {

constexpr Nanoseconds kPatience = 60'000'000'000;  // Nothing takes that long.
constexpr size_t kBytes = 4 << 20;

Address Loopback(uint16_t port) { return Address::Parse("127.0.0.1", port).value(); }
std::byte ByteAt(size_t at) { return static_cast<std::byte>(at * 7 + (at >> 8)); }

// Both ends of a connection, by way of an epoll.
class Transfer final : public Program {
 public:
  int Run() override {
    ran_beside = guest::Stack::instance()->sharing().shared();
    const int listener = Socket(Family::kIpv4, Type::kStream).value();
    if (!Bind(listener, Loopback(80)).ok() || !Listen(listener, 4).ok()) return 1;
    const int client = Socket(Family::kIpv4, Type::kStream).value();
    if (Connect(client, Loopback(80)).error() != Error::kAgain) return 2;
    PollItem waiting{listener, kIn, 0};
    if (Poll({&waiting, 1}, Now() + kPatience) != 1) return 3;
    const int server = Accept(listener, nullptr).value();
    const int status = Carry(client, server);
    for (int socket : {listener, client, server}) Close(socket);
    return status;
  }
  bool ran_beside = false;

 private:
  int Carry(int from, int to) {
    Epoll* epoll = Epoll::Create().value();
    if (!epoll->Add(from, kOut, 0).ok() || !epoll->Add(to, kIn, 1).ok()) return 4;
    std::vector<std::byte> buffer(64 << 10);
    size_t sent = 0, received = 0;
    while (received < kBytes) {
      EpollEvent events[2];
      const size_t count = epoll->Wait(events, Now() + kPatience);
      if (count == 0) return 5;
      for (size_t i = 0; i < count; ++i) {
        if (events[i].data == 0) {
          const size_t bytes = std::min(buffer.size(), kBytes - sent);
          for (size_t at = 0; at < bytes; ++at) buffer[at] = ByteAt(sent + at);
          if (auto taken = Send(from, {buffer.data(), bytes}); taken.ok()) sent += *taken;
          if (sent == kBytes && !epoll->Modify(from, 0, 0).ok()) return 6;
        } else if (auto got = Receive(to, buffer); got.ok()) {
          for (size_t at = 0; at < *got; ++at) {
            if (buffer[at] != ByteAt(received + at)) return 7;
          }
          received += *got;
        }
      }
    }
    delete epoll;
    return 42;
  }
};

class TwoCpusTest : public ::testing::Test {
 protected:
  TwoCpusTest() : world_({.cpus = 2}) { fake::ThawClock(); }
  guest::TestWorld world_;
};

TEST_F(TwoCpusTest, BytesArriveInOrder) {
  Transfer transfer;
  EXPECT_EQ(RunProgram(transfer), 42);
  EXPECT_TRUE(transfer.ran_beside);
}

TEST(OneCpuTest, TheProgramRunsOnTheLoop) {
  guest::TestWorld world({.cpus = 1});
  fake::ThawClock();
  Transfer transfer;
  EXPECT_EQ(RunProgram(transfer), 42);
  EXPECT_FALSE(transfer.ran_beside);
}

TEST_F(TwoCpusTest, AWaitEndsAtItsDeadline) {
  struct Waits final : Program {
    int Run() override {
      Epoll* epoll = Epoll::Create().value();
      const int socket = Socket(Family::kIpv4, Type::kDatagram).value();
      if (!Bind(socket, Loopback(9)).ok() || !epoll->Add(socket, kIn, 0).ok()) return 1;
      EpollEvent events[1];
      const Nanoseconds until = Now() + 5'000'000;
      const size_t count = epoll->Wait(events, until);
      Close(socket);
      delete epoll;
      return count == 0 && Now() >= until ? 42 : 2;
    }
  } waits;
  EXPECT_EQ(RunProgram(waits), 42);
}

TEST_F(TwoCpusTest, ADomainThatIsToEndEndsAWait) {
  struct Waits final : Program {
    explicit Waits(fake::FakePlatform* platform) : platform(platform) {}
    int Run() override {
      Epoll* epoll = Epoll::Create().value();
      // A real platform is told by its registry, on the loop's CPU.
      std::thread teller([this] {
        guest::Stack::instance()->sharing().Enter();
        platform->SetStopping(true);
        guest::Stack::instance()->sharing().Leave(true);
      });
      EpollEvent events[1];
      (void)epoll->Wait(events, Now() + kPatience);
      teller.join();
      delete epoll;
      return Stopping() ? 42 : 1;
    }
    fake::FakePlatform* platform;
  } waits(world_.world().domain(guest::TestWorld::kGuest));
  EXPECT_EQ(RunProgram(waits), 42);
}

}  // namespace
}  // namespace librettos::sockets
