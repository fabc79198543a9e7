// Random operations on a ring against a queue, and ends that die at random points.
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "guest/channel/ring.h"
#include "guest/channel/ring_memory.h"

namespace librettos::channel {
namespace {

struct Item {
  uint32_t id;
  uint32_t length;
  bool control;
};

// The ring and what must be in it.
template <class Index>
class Model {
 public:
  explicit Model(uint32_t seed)
      : random_(seed),
        entries_(8u << random_() % (sizeof(Index) == 1 ? 5 : 7)),
        memory_(entries_, kSlot, random_()) {
    EXPECT_EQ(producer_.Attach(memory_.view()), Violation::kNone);
    EXPECT_EQ(consumer_.Attach(memory_.view()), Violation::kNone);
  }

  void Step() {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        Put();
        break;
      case 5:
        PutControl();
        break;
      case 6:
      case 7:
      case 8:
        Publish();
        break;
      case 9:
      case 10:
      case 11:
        Peek();
        break;
      case 12:
      case 13:
        Commit(random_() % 4);
        break;
      case 14:
        consumer_.Rewind();
        peeked_ = 0;
        break;
      case 15:
        Check();
        break;
    }
  }

  // The producer dies, with what it had not published, and a successor takes up.
  void ProducerDies() {
    put_.clear();
    producer_ = {};
    ASSERT_EQ(producer_.Attach(memory_.view()), Violation::kNone);
  }
  // The consumer dies, after the effect of the `n` oldest looked-at frames but maybe before their commit.
  void ConsumerDies() {
    consumer_ = {};
    ASSERT_EQ(consumer_.Attach(memory_.view()), Violation::kNone);
    peeked_ = 0;
  }

  void Finish() {
    Publish();
    while (!published_.empty()) {
      const size_t before = published_.size() - peeked_;
      Peek();
      if (testing::Test::HasFailure()) return;
      if (before == 0) Commit(peeked_);
    }
    EXPECT_TRUE(producer_.Drained());
    EXPECT_EQ(producer_.Space(entries_), entries_);
  }

 private:
  static constexpr uint32_t kSlot = 64;

  uint32_t UsedEntries() const {
    uint32_t used = 0;
    for (const auto* queue : {&published_, &put_}) {
      for (const Item& item : *queue) used += (item.length + kSlot - 1) / kSlot;
    }
    return used;
  }

  void Put() {
    const uint32_t length = 14 + random_() % (random_() % 4 ? 60 : 400);
    const uint32_t needed = producer_.EntriesFor(length);
    Offload offload;
    offload.checksum_valid = next_ & 1;
    const Status status = PutBytes(producer_, Pattern(next_, length), offload);
    if (needed > entries_) {
      ASSERT_EQ(status, Status(Error::kInvalidArgument));
    } else if (needed > entries_ - UsedEntries()) {
      ASSERT_EQ(status, Status(Error::kAgain));
    } else {
      ASSERT_TRUE(status.ok());
      put_.push_back({next_++, length, false});
    }
  }

  void PutControl() {
    ControlMessage message = {};
    message.type = static_cast<uint16_t>(ControlType::kModeChanged);
    message.id = next_;
    const Status status = producer_.PutControl(message);
    ASSERT_EQ(status.ok(), UsedEntries() < entries_);
    if (status.ok()) put_.push_back({next_++, sizeof(message), true});
  }

  void Publish() {
    (void)producer_.Publish();
    published_.insert(published_.end(), put_.begin(), put_.end());
    put_.clear();
  }

  void Peek() {
    const bool got = consumer_.Peek(received_);
    ASSERT_EQ(consumer_.violation(), Violation::kNone);
    ASSERT_EQ(got, peeked_ < published_.size());
    if (!got) return;
    const Item& item = published_[peeked_++];
    ASSERT_EQ(received_.control, item.control);
    ASSERT_EQ(received_.length, item.length);
    if (item.control) {
      ASSERT_EQ(received_.message.id, item.id);
    } else {
      ASSERT_EQ(BytesOf(received_), Pattern(item.id, item.length));
      ASSERT_EQ(received_.offload.checksum_valid, (item.id & 1) != 0);
    }
  }

  void Commit(size_t frames) {
    uint32_t entries = 0;
    for (; frames && peeked_; --frames, --peeked_) {
      entries += (published_.front().length + kSlot - 1) / kSlot;
      published_.pop_front();
    }
    (void)consumer_.Commit(entries);
  }

  void Check() {
    uint32_t pending = 0;
    for (size_t i = peeked_; i < published_.size(); ++i)
      pending += (published_[i].length + kSlot - 1) / kSlot;
    ASSERT_EQ(consumer_.Pending(), pending);
    ASSERT_EQ(producer_.Space(entries_), entries_ - UsedEntries());
    ASSERT_EQ(producer_.Drained(), published_.empty());
  }

  std::minstd_rand random_;
  uint32_t entries_;
  RingMemory memory_;
  Producer<Index> producer_;
  Consumer<Index> consumer_;
  Received received_;
  uint32_t next_ = 1;
  std::deque<Item> put_, published_;
  size_t peeked_ = 0;
};

template <class Index>
void RunModel(uint32_t seeds, uint32_t steps, uint32_t death_in) {
  for (uint32_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Model<Index> model(seed);
    std::minstd_rand random(seed * 31);
    for (uint32_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      model.Step();
      if (death_in == 0 || random() % death_in) continue;
      if (random() % 2) {
        model.ProducerDies();
      } else {
        model.ConsumerDies();
      }
    }
    if (!testing::Test::HasFailure()) model.Finish();
  }
}

TEST(RingModelTest, ActsAsAQueue) { RunModel<uint32_t>(100, 2000, 0); }
TEST(RingModelTest, ActsAsAQueueWithCountersOf8Bits) { RunModel<uint8_t>(100, 2000, 0); }
// Published frames are never lost, whoever dies; those looked at and not committed are seen again, none twice
// after its commit.
TEST(RingModelTest, SuccessorsLoseNothing) { RunModel<uint32_t>(100, 2000, 20); }
TEST(RingModelTest, SuccessorsLoseNothingWithCountersOf8Bits) { RunModel<uint8_t>(100, 2000, 20); }

TEST(RingModelTest, ASuccessorTakesUpAFullRing) {
  RingMemory memory(8, 64);
  Producer<> producer;
  ASSERT_EQ(producer.Attach(memory.view()), Violation::kNone);
  for (uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(PutBytes(producer, Pattern(i, 60)).ok());
  (void)producer.Publish();
  Producer<> successor;
  ASSERT_EQ(successor.Attach(memory.view()), Violation::kNone);
  EXPECT_EQ(successor.Space(1), 0u);
  Consumer<> consumer;
  ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
  Received received;
  for (uint32_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(consumer.Peek(received));
    EXPECT_EQ(BytesOf(received), Pattern(i, 60));
  }
  (void)consumer.Commit(8);
  EXPECT_EQ(successor.Space(8), 8u);
}

}  // namespace
}  // namespace librettos::channel
