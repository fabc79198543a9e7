// Socket semantics between sockets of one guest, over its own loopback.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::sockets {
namespace {

using guest::Bytes;
using guest::Text2Bytes;

// For calls whose bytes do not matter.
std::span<std::byte> Buffer(size_t bytes) {
  static std::byte buffer[4096];
  return {buffer, bytes};
}

class LoopbackTest : public testing::TestWithParam<Family> {
 protected:
  Address At(uint16_t port) {
    return Address::Parse(GetParam() == Family::kIpv4 ? "127.0.0.1" : "::1", port).value();
  }
  int Listener(uint16_t port, int backlog = 16) {
    int listener = Socket(GetParam(), Type::kStream).value();
    EXPECT_TRUE(SetOption(listener, Option::kReuseAddress, true).ok());
    EXPECT_TRUE(Bind(listener, At(port)).ok());
    EXPECT_TRUE(Listen(listener, backlog).ok());
    return listener;
  }
  // {client, server}
  std::pair<int, int> Pair(uint16_t port) {
    int listener = Listener(port);
    int client = Socket(GetParam(), Type::kStream).value();
    EXPECT_EQ(Connect(client, At(port)).error(), Error::kAgain);
    world_.Turn(8);
    Address peer;
    auto server = Accept(listener, &peer);
    EXPECT_TRUE(server.ok());
    EXPECT_EQ(peer.port, LocalAddress(client)->port);
    Close(listener);
    return {client, *server};
  }
  uint32_t Events(int socket) {
    PollItem item{socket, kIn | kOut | kRdHup, 0};
    Poll({&item, 1}, 0);
    return item.returned;
  }
  std::string Drain(int socket) {
    std::string out;
    Bytes buffer(70000);
    for (;;) {
      auto got = Receive(socket, buffer);
      if (!got.ok() || *got == 0) return out;
      out.append(reinterpret_cast<char*>(buffer.data()), *got);
    }
  }
  guest::TestWorld world_;
};

INSTANTIATE_TEST_SUITE_P(Families, LoopbackTest, testing::Values(Family::kIpv4, Family::kIpv6));

TEST_P(LoopbackTest, CarriesBytesBothWays) {
  auto [client, server] = Pair(8080);
  EXPECT_EQ(*Send(client, Text2Bytes("hello")), 5u);
  world_.Turn();
  EXPECT_EQ(Events(server), kIn | kOut);
  EXPECT_EQ(Drain(server), "hello");
  EXPECT_EQ(*Send(server, Text2Bytes("world")), 5u);
  world_.Turn();
  EXPECT_EQ(Drain(client), "world");
  EXPECT_EQ(Receive(client, Buffer(1)).error(), Error::kAgain);
  Close(client);
  Close(server);
}

TEST_P(LoopbackTest, HalfCloseLetsTheOtherDirectionGoOn) {
  auto [client, server] = Pair(8080);
  EXPECT_TRUE(Send(client, Text2Bytes("request")).ok());
  EXPECT_TRUE(ShutdownWrite(client).ok());
  EXPECT_EQ(Send(client, Text2Bytes("x")).error(), Error::kUnavailable);
  world_.Turn(8);
  EXPECT_EQ(Drain(server), "request");
  EXPECT_EQ(*Receive(server, Buffer(1)), 0u);
  EXPECT_TRUE(Events(server) & kRdHup);
  EXPECT_FALSE(Events(server) & kHup);
  EXPECT_TRUE(Send(server, Text2Bytes("answer")).ok());
  Close(server);
  world_.Turn(8);
  EXPECT_EQ(Drain(client), "answer");
  EXPECT_EQ(*Receive(client, Buffer(1)), 0u);
  EXPECT_TRUE(Events(client) & kHup);
  Close(client);
}

TEST_P(LoopbackTest, CloseWithUnsentDataDeliversAllOfIt) {
  auto [client, server] = Pair(8080);
  std::string sent;
  for (int i = 0; i < 100000; i++) sent += std::to_string(i) + ",";
  EXPECT_EQ(*Send(client, Text2Bytes(sent)), sent.size());
  Close(client);
  std::string got;
  for (int i = 0; i < 2000 && got.size() < sent.size(); i++) {
    world_.Advance(10'000'000);  // Acknowledgements may be delayed.
    got += Drain(server);
  }
  EXPECT_EQ(got, sent);
  world_.Turn(4);
  EXPECT_EQ(*Receive(server, Buffer(1)), 0u);
  Close(server);
}

TEST_P(LoopbackTest, CloseWithUnreadDataResetsThePeer) {
  auto [client, server] = Pair(8080);
  EXPECT_TRUE(Send(client, Text2Bytes("unread")).ok());
  world_.Turn();
  Close(server);
  world_.Turn();
  EXPECT_TRUE(Events(client) & kErr);
  EXPECT_EQ(SocketError(client), Error::kUnavailable);
  EXPECT_EQ(SocketError(client), Error::kOk);
  EXPECT_EQ(Send(client, Text2Bytes("x")).error(), Error::kUnavailable);
  Close(client);
}

TEST_P(LoopbackTest, FlowControlStopsTheSenderAndLosesNothing) {
  auto [client, server] = Pair(8080);
  size_t sent = 0;
  Bytes block(65536);
  for (;;) {
    for (size_t i = 0; i < block.size(); i++) block[i] = static_cast<std::byte>((sent + i) * 7);
    auto n = Send(client, block);
    if (!n.ok()) {
      EXPECT_EQ(n.error(), Error::kAgain);
      for (int i = 0; i < 300; i++) world_.Turn(1);
      n = Send(client, block);
      if (!n.ok()) break;
    }
    sent += *n;
    ASSERT_LT(sent, 32u << 20);
  }
  EXPECT_FALSE(Events(client) & kOut);
  size_t got = 0;
  for (int i = 0; i < 3000 && got < sent; i++) {
    world_.Turn(1);
    for (;;) {
      auto n = Receive(server, block);
      if (!n.ok()) break;
      for (size_t k = 0; k < *n; k++) ASSERT_EQ(block[k], static_cast<std::byte>((got + k) * 7)) << got + k;
      got += *n;
    }
    if (i % 50 == 49) world_.Advance(100'000'000);
  }
  EXPECT_EQ(got, sent);
  EXPECT_TRUE(Events(client) & kOut);
  Close(client);
  Close(server);
}

TEST_P(LoopbackTest, ConnectWithoutListenerFails) {
  int client = Socket(GetParam(), Type::kStream).value();
  EXPECT_EQ(Connect(client, At(9)).error(), Error::kAgain);
  world_.Turn();
  EXPECT_TRUE(Events(client) & kErr);
  EXPECT_EQ(SocketError(client), Error::kUnavailable);
  Close(client);
}

TEST_P(LoopbackTest, BacklogBoundsWhatWaits) {
  int listener = Listener(8080, 2);
  std::vector<int> clients;
  for (int i = 0; i < 4; i++) {
    clients.push_back(Socket(GetParam(), Type::kStream).value());
    EXPECT_EQ(Connect(clients.back(), At(8080)).error(), Error::kAgain);
  }
  world_.Turn(8);
  int open = 0;
  for (int client : clients) open += (Events(client) & kOut) != 0;
  EXPECT_EQ(open, 2);
  std::vector<int> accepted;
  for (int round = 0; round < 40 && accepted.size() < 4; round++) {
    while (true) {
      auto server = Accept(listener, nullptr);
      if (!server.ok()) break;
      accepted.push_back(*server);
    }
    world_.Advance(500'000'000);
    world_.Turn();
  }
  EXPECT_EQ(accepted.size(), 4u);
  for (int socket : clients) Close(socket);
  for (int socket : accepted) Close(socket);
  Close(listener);
}

TEST_P(LoopbackTest, ClosingTheListenerResetsWhatWasNotAccepted) {
  int listener = Listener(8080);
  int client = Socket(GetParam(), Type::kStream).value();
  EXPECT_EQ(Connect(client, At(8080)).error(), Error::kAgain);
  world_.Turn(8);
  EXPECT_TRUE(Events(client) & kOut);
  Close(listener);
  world_.Turn();
  EXPECT_TRUE(Events(client) & kErr);
  Close(client);
}

TEST_P(LoopbackTest, SecondBindIsRefusedAndFreeAfterClose) {
  int listener = Listener(8081);
  int second = Socket(GetParam(), Type::kStream).value();
  EXPECT_EQ(Bind(second, At(8081)).error(), Error::kInUse);
  Close(listener);
  EXPECT_TRUE(Bind(second, At(8081)).ok());
  Close(second);
}

TEST_P(LoopbackTest, TimeWaitDoesNotBlockAReusingListener) {
  auto [client, server] = Pair(8080);
  Close(server);  // Closes first: its end stays in TIME_WAIT.
  world_.Turn(8);
  EXPECT_EQ(*Receive(client, Buffer(1)), 0u);
  Close(client);
  world_.Turn(8);
  int without = Socket(GetParam(), Type::kStream).value();
  EXPECT_EQ(Bind(without, At(8080)).error(), Error::kInUse);
  Close(without);
  Close(Listener(8080));
}

TEST_P(LoopbackTest, LevelTriggeredEpollReportsUntilRead) {
  auto [client, server] = Pair(8080);
  Epoll* epoll = Epoll::Create().value();
  ASSERT_TRUE(epoll->Add(server, kIn, 42).ok());
  EXPECT_EQ(epoll->Add(server, kIn, 42).error(), Error::kInUse);
  EpollEvent events[4];
  EXPECT_EQ(epoll->Wait(events, 0), 0u);
  EXPECT_TRUE(Send(client, Text2Bytes("abc")).ok());
  world_.Turn();
  for (int i = 0; i < 3; i++) {
    ASSERT_EQ(epoll->Wait(events, 0), 1u);
    EXPECT_EQ(events[0].data, 42u);
    EXPECT_EQ(events[0].events, kIn);
  }
  Drain(server);
  EXPECT_EQ(epoll->Wait(events, 0), 0u);
  Close(server);  // Removes by itself.
  world_.Turn();
  EXPECT_EQ(epoll->Wait(events, 0), 0u);
  delete epoll;
  Close(client);
}

TEST_P(LoopbackTest, EdgeTriggeredEpollReportsEachArrivalOnce) {
  auto [client, server] = Pair(8080);
  ASSERT_TRUE(SetOption(client, Option::kNoDelay, true).ok());
  Epoll* epoll = Epoll::Create().value();
  ASSERT_TRUE(epoll->Add(server, kIn | kEdge, 1).ok());
  EpollEvent events[4];
  EXPECT_TRUE(Send(client, Text2Bytes("abc")).ok());
  world_.Turn();
  EXPECT_EQ(epoll->Wait(events, 0), 1u);
  EXPECT_EQ(epoll->Wait(events, 0), 0u);
  EXPECT_TRUE(Send(client, Text2Bytes("def")).ok());
  world_.Turn();
  EXPECT_EQ(epoll->Wait(events, 0), 1u);
  EXPECT_EQ(Drain(server), "abcdef");
  ASSERT_TRUE(epoll->Modify(server, kIn | kOut | kEdge, 2).ok());
  ASSERT_EQ(epoll->Wait(events, 0), 1u);
  EXPECT_EQ(events[0].events, kOut);
  EXPECT_EQ(events[0].data, 2u);
  EXPECT_EQ(epoll->Wait(events, 0), 0u);
  ASSERT_TRUE(epoll->Remove(server).ok());
  EXPECT_EQ(epoll->Remove(server).error(), Error::kNotFound);
  delete epoll;
  Close(client);
  Close(server);
}

TEST_P(LoopbackTest, EpollServesAllWhenTheArrayIsSmall) {
  int listener = Listener(8080);
  Epoll* epoll = Epoll::Create().value();
  std::vector<int> clients, servers;
  for (uint64_t i = 0; i < 10; i++) {
    clients.push_back(Socket(GetParam(), Type::kStream).value());
    EXPECT_EQ(Connect(clients.back(), At(8080)).error(), Error::kAgain);
    world_.Turn(8);
    servers.push_back(Accept(listener, nullptr).value());
    ASSERT_TRUE(epoll->Add(servers.back(), kIn, i).ok());
    EXPECT_TRUE(Send(clients.back(), Text2Bytes("x")).ok());
  }
  world_.Turn();
  std::vector<int> seen(10);
  for (int i = 0; i < 5; i++) {
    EpollEvent events[2];
    ASSERT_EQ(epoll->Wait(events, 0), 2u);
    for (auto& event : events) seen[event.data]++;
  }
  EXPECT_EQ(seen, std::vector<int>(10, 1));
  delete epoll;
  for (int socket : clients) Close(socket);
  for (int socket : servers) Close(socket);
  Close(listener);
}

TEST_P(LoopbackTest, DatagramsKeepTheirBoundsAndSender) {
  int server = Socket(GetParam(), Type::kDatagram).value();
  ASSERT_TRUE(Bind(server, At(5000)).ok());
  int client = Socket(GetParam(), Type::kDatagram).value();
  EXPECT_EQ(*SendTo(client, Text2Bytes("one"), At(5000)), 3u);
  EXPECT_EQ(*SendTo(client, {}, At(5000)), 0u);
  EXPECT_EQ(*SendTo(client, Text2Bytes("three"), At(5000)), 5u);
  world_.Turn();
  EXPECT_TRUE(Events(server) & kIn);
  Bytes buffer(4);
  Address from;
  EXPECT_EQ(*ReceiveFrom(server, buffer, &from), 3u);
  EXPECT_EQ(from.port, LocalAddress(client)->port);
  EXPECT_EQ(*ReceiveFrom(server, buffer, &from), 0u);
  EXPECT_EQ(*ReceiveFrom(server, buffer, &from), 4u);  // The rest is dropped.
  EXPECT_EQ(ReceiveFrom(server, buffer, &from).error(), Error::kAgain);
  EXPECT_EQ(SendTo(client, Bytes(65508), At(5000)).error(), Error::kInvalidArgument);
  Close(client);
  Close(server);
}

TEST_P(LoopbackTest, DatagramQueueIsBoundedAndCounts) {
  int server = Socket(GetParam(), Type::kDatagram).value();
  ASSERT_TRUE(Bind(server, At(5000)).ok());
  int client = Socket(GetParam(), Type::kDatagram).value();
  uint64_t before = world_.stack().interface().Get(guest::Counter::k_rx_dropped);
  for (int i = 0; i < 1200; i++) EXPECT_TRUE(SendTo(client, Bytes(1000), At(5000)).ok());
  world_.Turn(8);
  size_t got = 0;
  while (ReceiveFrom(server, Buffer(1000), nullptr).ok()) got++;
  EXPECT_EQ(got, (1u << 20) / 1128);
  EXPECT_EQ(world_.stack().interface().Get(guest::Counter::k_rx_dropped) - before, 1200 - got);
  Close(client);
  Close(server);
}

TEST_P(LoopbackTest, CallsOnNothingAreRefused) {
  EXPECT_EQ(Send(77, Bytes(1)).error(), Error::kNotFound);
  EXPECT_EQ(Bind(-1, At(1)).error(), Error::kNotFound);
  EXPECT_EQ(Accept(99999, nullptr).error(), Error::kNotFound);
  Close(77);
  int socket = Socket(GetParam(), Type::kStream).value();
  EXPECT_EQ(Accept(socket, nullptr).error(), Error::kInvalidArgument);
  EXPECT_EQ(Receive(socket, Buffer(1)).error(), Error::kInvalidArgument);
  Close(socket);
}

}  // namespace
}  // namespace librettos::sockets
