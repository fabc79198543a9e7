// Event suppression: no signal that is not wanted, none lost that is.
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "guest/channel/ring.h"
#include "guest/channel/ring_memory.h"

namespace librettos::channel {
namespace {

template <class Index>
class RingEventTest : public testing::Test {
 protected:
  RingEventTest() : memory_(16, 64, 250) {
    EXPECT_EQ(producer_.Attach(memory_.view()), Violation::kNone);
    EXPECT_EQ(consumer_.Attach(memory_.view()), Violation::kNone);
  }
  bool Send(uint32_t frames = 1) {
    for (uint32_t i = 0; i < frames; ++i) EXPECT_TRUE(PutBytes(producer_, Pattern(i, 60)).ok());
    return producer_.Publish();
  }
  bool Take(uint32_t frames = 1) {
    for (uint32_t i = 0; i < frames; ++i) EXPECT_TRUE(consumer_.Peek(received_));
    return consumer_.Commit(frames);
  }
  RingMemory memory_;
  Producer<Index> producer_;
  Consumer<Index> consumer_;
  Received received_;
};
using Indices = testing::Types<uint32_t, uint8_t>;
TYPED_TEST_SUITE(RingEventTest, Indices);

TYPED_TEST(RingEventTest, NoSignalUnlessWanted) {
  for (int i = 0; i < 600; ++i) {
    EXPECT_FALSE(this->Send()) << i;
    EXPECT_FALSE(this->Take()) << i;
  }
  EXPECT_FALSE(this->producer_.Publish());  // Nothing put: nothing to tell.
}

TYPED_TEST(RingEventTest, AConsumerIsSignalledOnceForAnything) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(this->consumer_.ArmEvent());
    EXPECT_TRUE(this->Send(1 + i % 3)) << i;
    EXPECT_FALSE(this->Send()) << i;  // Was told already.
    EXPECT_FALSE(this->Take(2 + i % 3)) << i;
    this->consumer_.DisarmEvent();
    EXPECT_FALSE(this->Send());
    EXPECT_FALSE(this->Take());
  }
}

TYPED_TEST(RingEventTest, AConsumerWithWorkDoesNotSleep) {
  EXPECT_FALSE(this->Send());
  EXPECT_FALSE(this->consumer_.ArmEvent());
  EXPECT_FALSE(this->Send());  // And wants no event.
  EXPECT_EQ(this->consumer_.Pending(), 2u);
  // Looked at, not committed: nothing new to wait for but what is published next.
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_FALSE(this->consumer_.ArmEvent());
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_TRUE(this->consumer_.ArmEvent());
  EXPECT_FALSE(this->consumer_.Commit(2));
  EXPECT_TRUE(this->Send());
}

TYPED_TEST(RingEventTest, AProducerIsSignalledWhenWhatItNeedsFits) {
  for (int i = 0; i < 40; ++i) {
    EXPECT_FALSE(this->Send(16));
    ASSERT_TRUE(this->producer_.ArmEvent(5));
    EXPECT_FALSE(this->Take(4)) << i;  // Four are not enough.
    EXPECT_TRUE(this->Take(1)) << i;
    EXPECT_GE(this->producer_.Space(5), 5u);
    EXPECT_FALSE(this->Take(1)) << i;
    this->producer_.DisarmEvent();
    ASSERT_FALSE(this->producer_.ArmEvent(6));  // They fit already.
    EXPECT_FALSE(this->Take(10)) << i;
    // For more than the ring has: when it is drained.
    EXPECT_FALSE(this->Send(3));
    ASSERT_TRUE(this->producer_.ArmEvent(100));
    EXPECT_FALSE(this->Take(2));
    EXPECT_TRUE(this->Take(1));
    EXPECT_TRUE(this->producer_.Drained());
    EXPECT_FALSE(this->producer_.ArmEvent(100));
  }
}

TYPED_TEST(RingEventTest, ASuccessorDoesNotInheritAWish) {
  ASSERT_TRUE(this->consumer_.ArmEvent());
  ASSERT_EQ(this->consumer_.Attach(this->memory_.view()), Violation::kNone);
  EXPECT_FALSE(this->Send());
  EXPECT_FALSE(this->Send(15));
  ASSERT_TRUE(this->producer_.ArmEvent(1));
  ASSERT_EQ(this->producer_.Attach(this->memory_.view()), Violation::kNone);
  EXPECT_FALSE(this->Take(16));
}

TYPED_TEST(RingEventTest, WhatAHostilePeerWishesIsNoCommand) {
  this->memory_.control().consumer.event_wanted = 2;  // Neither 0 nor 1.
  EXPECT_FALSE(this->Send());
  this->memory_.control().consumer.event_wanted = 1;
  this->memory_.control().consumer.event_index = this->memory_.control().producer.index + 100;
  EXPECT_FALSE(this->Send());
  EXPECT_EQ(this->producer_.violation(), Violation::kNone);
}

// Both sides sleep by the protocol whenever they have nothing to do, over a ring so small that this happens
// all the time. A lost wake-up hangs here (and is seen as the test's time-out); all frames must arrive in
// order.
template <class Index>
void Stress(uint32_t frames) {
  RingMemory memory(4, 64, 250);
  std::binary_semaphore to_producer(0), to_consumer(0);
  std::atomic<uint64_t> signals = 0, wishes = 0;
  auto signal = [&](std::binary_semaphore& semaphore) {
    signals.fetch_add(1, std::memory_order_relaxed);
    (void)semaphore.try_acquire();  // Signals coalesce.
    semaphore.release();
  };
  std::thread thread([&] {
    Producer<Index> producer;
    ASSERT_EQ(producer.Attach(memory.view()), Violation::kNone);
    for (uint32_t i = 0; i < frames;) {
      Bytes bytes(14 + i % 100, static_cast<std::byte>(i));
      if (PutBytes(producer, bytes).ok()) {
        ++i;
        if (i % 3 && i < frames) continue;
        if (producer.Publish()) signal(to_consumer);
        continue;
      }
      ASSERT_EQ(producer.violation(), Violation::kNone);
      if (producer.Publish()) signal(to_consumer);
      wishes.fetch_add(1, std::memory_order_relaxed);
      if (producer.ArmEvent(producer.EntriesFor(static_cast<uint32_t>(bytes.size())))) to_producer.acquire();
      producer.DisarmEvent();
    }
  });
  Consumer<Index> consumer;
  ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
  Received received;
  for (uint32_t i = 0; i < frames;) {
    if (consumer.Peek(received)) {
      ASSERT_EQ(BytesOf(received), Bytes(14 + i % 100, static_cast<std::byte>(i))) << i;
      ++i;
      if (consumer.Commit(received.entries)) signal(to_producer);
      continue;
    }
    ASSERT_EQ(consumer.violation(), Violation::kNone);
    wishes.fetch_add(1, std::memory_order_relaxed);
    if (consumer.ArmEvent()) to_consumer.acquire();
    consumer.DisarmEvent();
  }
  thread.join();
  EXPECT_LE(signals.load(), wishes.load());  // Each wish is granted at most once.
  EXPECT_GT(signals.load(), 0u);
}
TEST(RingWakeTest, NoWakeUpIsLost) { Stress<uint32_t>(20000); }
TEST(RingWakeTest, NoWakeUpIsLostWithCountersOf8Bits) { Stress<uint8_t>(20000); }

}  // namespace
}  // namespace librettos::channel
