#include "guest/net/holding_queue.h"

#include <gtest/gtest.h>

#include "guest/net/headers.h"
#include "guest/net/testing/test_world.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

bool Push(HoldingQueue& queue, size_t bytes, uint8_t mark, uint32_t line = 0) {
  Bytes frame(bytes, std::byte{mark});
  const Part parts[] = {{frame.data(), 10}, {frame.data() + 10, static_cast<uint32_t>(bytes - 10)}};
  return queue.Push({parts, static_cast<uint32_t>(bytes), {.checksum_valid = true}}, line);
}
uint8_t Mark(HoldingQueue& queue, uint32_t line = 0) {
  return Load8(queue.front(line).parts[0].data + queue.front(line).length - 1);
}

TEST(HoldingQueueTest, LinesKeepTheirOrder) {
  HoldingQueue queue;
  EXPECT_TRUE(queue.empty());
  for (uint8_t i = 0; i < 30; i++) ASSERT_TRUE(Push(queue, 20 + i, i, i % 3));
  EXPECT_EQ(queue.frames(), 30u);
  for (uint8_t i = 0; i < 30; i++) {
    ASSERT_FALSE(queue.empty(i % 3));
    EXPECT_EQ(Mark(queue, i % 3), i);
    EXPECT_EQ(queue.front(i % 3).length, 20u + i);
    EXPECT_TRUE(queue.front(i % 3).offload.checksum_valid);
    queue.Pop(i % 3);
  }
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.empty(0));
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(HoldingQueueTest, TheBoundIsThatOfAllLines) {
  HoldingQueue frames;
  size_t count = 0;
  while (Push(frames, 60, 1, count % 8)) count++;
  EXPECT_EQ(count, HoldingQueue::kMaxFrames);
  EXPECT_FALSE(Push(frames, 60, 1, 3));
  frames.Pop(5);
  EXPECT_TRUE(Push(frames, 60, 1, 3));

  HoldingQueue bytes;
  count = 0;
  while (Push(bytes, 65535, 1, count % 8)) count++;
  EXPECT_EQ(count, HoldingQueue::kMaxBytes / 65535);
  EXPECT_LE(bytes.bytes(), HoldingQueue::kMaxBytes);
}

// The server takes nothing for a while: everything up to the bound arrives in order, the rest is refused and
// counted.
TEST(HoldingQueueTest, AFullRingLosesOnlyWhatIsBeyondTheBound) {
  TestWorld world;
  world.TeachArp();
  int socket = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  auto peer = sockets::Address::Parse("10.1.0.1", 9).value();
  constexpr int kFit = 2048 + static_cast<int>(HoldingQueue::kMaxFrames);
  int taken = 0, refused = 0;
  for (int i = 0; i < kFit + 100; i++) {
    auto sent = sockets::SendTo(socket, Text2Bytes(std::to_string(i)), peer);
    sent.ok() ? taken++ : refused++;
    if (!sent.ok()) {
      EXPECT_EQ(sent.error(), Error::kAgain);
    }
  }
  EXPECT_EQ(taken, kFit);
  EXPECT_EQ(refused, 100);
  EXPECT_EQ(world.stack().interface().held(), HoldingQueue::kMaxFrames);
  EXPECT_EQ(world.stack().interface().Get(Counter::k_tx_dropped), 100u);
  int next = 0;
  for (int round = 0; round < 20 && next < taken; round++) {
    world.Turn();
    for (auto& frame : world.TakeSent()) {
      if (Dissect(frame.bytes.data(), frame.bytes.size()).protocol != kProtocolUdp) continue;
      const std::string text(reinterpret_cast<const char*>(frame.bytes.data()) + 42, frame.bytes.size() - 42);
      ASSERT_EQ(text, std::to_string(next));
      next++;
    }
  }
  EXPECT_EQ(next, taken);
  EXPECT_EQ(world.stack().interface().held(), 0u);
  EXPECT_TRUE(sockets::SendTo(socket, Text2Bytes("again"), peer).ok());
  sockets::Close(socket);
}

}  // namespace
}  // namespace librettos::guest
