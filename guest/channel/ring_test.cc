#include "guest/channel/ring.h"

#include <gtest/gtest.h>

#include "guest/channel/checks.h"
#include "guest/channel/ring_memory.h"

namespace librettos::channel {
namespace {

template <class Index>
class RingTest : public testing::Test {
 protected:
  void Open(uint32_t entries, uint32_t slot_bytes = 2048, uint32_t start = 0) {
    memory_ = std::make_unique<RingMemory>(entries, slot_bytes, start);
    ASSERT_EQ(producer_.Attach(memory_->view()), Violation::kNone);
    ASSERT_EQ(consumer_.Attach(memory_->view()), Violation::kNone);
  }
  std::unique_ptr<RingMemory> memory_;
  Producer<Index> producer_;
  Consumer<Index> consumer_;
  Received received_;
};
using Indices = testing::Types<uint32_t, uint8_t>;
TYPED_TEST_SUITE(RingTest, Indices);

TYPED_TEST(RingTest, AnEndThatIsNotAttachedIsEmptyAndFull) {
  EXPECT_EQ(PutBytes(this->producer_, Pattern(1, 60)), Status(Error::kUnavailable));
  EXPECT_EQ(this->producer_.PutControl({}), Status(Error::kUnavailable));
  EXPECT_EQ(this->producer_.Space(1), 0u);
  EXPECT_FALSE(this->producer_.Publish());
  EXPECT_FALSE(this->producer_.ArmEvent(1));
  this->producer_.DisarmEvent();
  EXPECT_FALSE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->consumer_.Pending(), 0u);
  EXPECT_FALSE(this->consumer_.ArmEvent());
  this->consumer_.DisarmEvent();
  EXPECT_FALSE(this->consumer_.Commit(0));
}

TYPED_TEST(RingTest, UnusableGeometryIsRefused) {
  RingMemory three(3);
  EXPECT_EQ(this->producer_.Attach(three.view()), Violation::kBadHeader);
  EXPECT_EQ(this->consumer_.Attach(three.view()), Violation::kBadHeader);
  if (sizeof(TypeParam) == 1) {
    RingMemory wide(256);  // Full and empty would look alike.
    EXPECT_EQ(this->producer_.Attach(wide.view()), Violation::kBadHeader);
    EXPECT_EQ(this->consumer_.Attach(wide.view()), Violation::kBadHeader);
  }
  EXPECT_EQ(this->producer_.Attach(RingView()), Violation::kBadHeader);
}

TYPED_TEST(RingTest, NothingIsSeenBeforePublish) {
  this->Open(8);
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 100)).ok());
  EXPECT_FALSE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->consumer_.Pending(), 0u);
  (void)this->producer_.Publish();
  EXPECT_EQ(this->consumer_.Pending(), 1u);
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(BytesOf(this->received_), Pattern(1, 100));
}

TYPED_TEST(RingTest, EveryLengthAroundTheEdgesArrivesWhole) {
  for (uint32_t length : {14u, 15u, 191u, 192u, 193u, 2047u, 2048u, 2049u, 4096u, 4097u, 9018u, 65535u}) {
    // Starts such that frames wrap around the end of the ring and of an 8-bit counter.
    for (uint32_t start : {0u, 1u, 63u, 60u, 250u}) {
      this->Open(64, 2048, start);
      ASSERT_TRUE(PutBytes(this->producer_, Pattern(length, length)).ok()) << length;
      (void)this->producer_.Publish();
      ASSERT_TRUE(this->consumer_.Peek(this->received_)) << length << " at " << start;
      EXPECT_EQ(BytesOf(this->received_), Pattern(length, length)) << length << " at " << start;
      EXPECT_EQ(this->received_.header_length, std::min(length, Received::kHeaderBytes));
      EXPECT_EQ(this->received_.entries, this->producer_.EntriesFor(length));
      // One run of slots, or two around the end of the ring.
      EXPECT_LE(this->received_.part_count, 2u);
      (void)this->consumer_.Commit(this->received_.entries);
      EXPECT_TRUE(this->producer_.Drained());
    }
  }
}

TYPED_TEST(RingTest, PartsAreGatheredAcrossSlotsAndTheEnd) {
  this->Open(4, 64, 3);
  const Bytes bytes = Pattern(5, 150);
  for (uint32_t a = 0; a <= 150; a += 7) {
    for (uint32_t b = a; b <= 150; b += 11) {
      const Part parts[] = {{bytes.data(), a}, {bytes.data() + a, b - a}, {bytes.data() + b, 150 - b}};
      OutFrame frame;
      frame.parts = parts;
      frame.length = 150;
      ASSERT_TRUE(this->producer_.Put(frame).ok());
      (void)this->producer_.Publish();
      ASSERT_TRUE(this->consumer_.Peek(this->received_));
      ASSERT_EQ(BytesOf(this->received_), bytes) << a << " " << b;
      (void)this->consumer_.Commit(this->received_.entries);
    }
  }
}

TYPED_TEST(RingTest, ARingOfTheLargestSizeHoldsExactlyItsEntries) {
  const uint32_t entries = sizeof(TypeParam) == 1 ? 128 : 4096;
  this->Open(entries, 64, 200);
  EXPECT_EQ(this->producer_.Space(1), entries);
  for (uint32_t i = 0; i < entries; ++i) ASSERT_TRUE(PutBytes(this->producer_, Pattern(i, 20)).ok()) << i;
  EXPECT_EQ(PutBytes(this->producer_, Pattern(0, 20)), Status(Error::kAgain));
  EXPECT_EQ(this->producer_.Space(1), 0u);
  (void)this->producer_.Publish();
  EXPECT_EQ(PutBytes(this->producer_, Pattern(0, 20)), Status(Error::kAgain));
  for (uint32_t i = 0; i < entries; ++i) {
    ASSERT_TRUE(this->consumer_.Peek(this->received_));
    EXPECT_EQ(BytesOf(this->received_), Pattern(i, 20));
  }
  EXPECT_FALSE(this->consumer_.Peek(this->received_));
  (void)this->consumer_.Commit(entries);
  EXPECT_EQ(this->producer_.Space(entries), entries);
  EXPECT_EQ(this->producer_.violation(), Violation::kNone);
  EXPECT_EQ(this->consumer_.violation(), Violation::kNone);
}

TYPED_TEST(RingTest, SpaceIsGivenBackByCommitOnly) {
  this->Open(4, 64);
  for (uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(PutBytes(this->producer_, Pattern(i, 20)).ok());
  (void)this->producer_.Publish();
  for (uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->producer_.Space(1), 0u);
  EXPECT_FALSE(this->producer_.Drained());
  (void)this->consumer_.Commit(3);
  EXPECT_EQ(this->producer_.Space(4), 3u);
  EXPECT_FALSE(this->producer_.Drained());
  (void)this->consumer_.Commit(1);
  EXPECT_TRUE(this->producer_.Drained());
}

TYPED_TEST(RingTest, RewindShowsUncommittedFramesAgain) {
  this->Open(8, 64);
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(PutBytes(this->producer_, Pattern(i, 20)).ok());
  (void)this->producer_.Publish();
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(this->consumer_.Peek(this->received_));
  (void)this->consumer_.Commit(1);
  this->consumer_.Rewind();
  EXPECT_EQ(this->consumer_.Pending(), 2u);
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(BytesOf(this->received_), Pattern(1, 20));
}

TYPED_TEST(RingTest, OffloadFieldsArrive) {
  this->Open(64);
  Offload offload;
  offload.needs_checksum = true;
  offload.checksum_start = 34;
  offload.checksum_offset = 16;
  for (Segmentation segmentation : {Segmentation::kNone, Segmentation::kTcp4, Segmentation::kTcp6}) {
    offload.segmentation = segmentation;
    offload.segment_bytes = segmentation == Segmentation::kNone ? 0 : 1460;
    offload.header_bytes = 54;
    ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 5000), offload).ok());
    (void)this->producer_.Publish();
    ASSERT_TRUE(this->consumer_.Peek(this->received_));
    EXPECT_EQ(this->received_.offload, offload);
    (void)this->consumer_.Commit(this->received_.entries);
  }
  Offload valid;
  valid.checksum_valid = true;
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 60), valid).ok());
  (void)this->producer_.Publish();
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->received_.offload, valid);
}

TYPED_TEST(RingTest, NothingIsWrittenBehindAFrame) {
  constexpr uint32_t kSlot = 64;
  constexpr std::byte kUntouched{0xee};
  this->Open(8, kSlot, 5);  // Long ones go round the end.
  uint32_t at = 5;
  const auto expect_untouched = [&](uint32_t slots, uint32_t length) {
    for (uint32_t i = length; i < slots * kSlot; ++i) {
      ASSERT_EQ(this->memory_->slot((at + i / kSlot) % 8)[i % kSlot], kUntouched)
          << length << " and " << i - length;
    }
    // The words of the frame's descriptors that say nothing say 0.
    for (uint32_t i = 0; i < slots; ++i) EXPECT_TRUE(NoOffload(this->memory_->descriptor(at + i)));
    for (uint32_t i = slots; i < 8; ++i)
      EXPECT_EQ(this->memory_->slot((at + i) % 8)[0], kUntouched) << length;
    (void)this->producer_.Publish();
    while (this->consumer_.Peek(this->received_)) (void)this->consumer_.Commit(this->received_.entries);
    at += slots;
    std::fill_n(this->memory_->slot(0), 8 * kSlot, kUntouched);
  };
  std::fill_n(this->memory_->slot(0), 8 * kSlot, kUntouched);
  for (const uint32_t length :
       {14u, 15u, 42u, 60u, kSlot - 1, kSlot, kSlot + 1, 3 * kSlot - 7, 6 * kSlot + 1}) {
    ASSERT_TRUE(PutBytes(this->producer_, Pattern(length, length)).ok());
    expect_untouched((length + kSlot - 1) / kSlot, length);
  }
  ControlMessage message = {};
  message.type = static_cast<uint16_t>(ControlType::kModeChanged);
  ASSERT_TRUE(this->producer_.PutControl(message).ok());
  expect_untouched(1, sizeof(message));
}

TYPED_TEST(RingTest, AHeaderHintBeyondTheFrameIsCut) {
  this->Open(8);
  Offload offload;
  offload.header_bytes = 500;
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 60), offload).ok());
  (void)this->producer_.Publish();
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->received_.offload.header_bytes, 60);
}

TYPED_TEST(RingTest, FramesThatCannotBeSentAreRefusedAndLeaveNoTrace) {
  this->Open(16, 2048);
  auto refused = [&](uint32_t length, const Offload& offload = {}) {
    return PutBytes(this->producer_, Pattern(1, length), offload) == Status(Error::kInvalidArgument);
  };
  EXPECT_TRUE(refused(0));
  EXPECT_TRUE(refused(13));
  EXPECT_TRUE(refused(65536));
  EXPECT_TRUE(refused(16 * 2048 + 1));  // Would never fit this ring.
  Offload offload;
  offload.needs_checksum = true;
  offload.checksum_start = 34;
  offload.checksum_offset = 25;  // 34 + 25 + 2 > 60
  EXPECT_TRUE(refused(60, offload));
  offload = {};
  offload.segmentation = Segmentation::kTcp4;  // Without a checksum to complete.
  offload.segment_bytes = 1460;
  EXPECT_TRUE(refused(60, offload));
  const Bytes bytes = Pattern(1, 100);
  const Part part = {bytes.data(), 100};
  for (uint32_t length : {99u, 101u}) {  // Parts that do not add up.
    OutFrame frame;
    frame.parts = {&part, 1};
    frame.length = length;
    EXPECT_EQ(this->producer_.Put(frame), Status(Error::kInvalidArgument));
  }
  EXPECT_EQ(this->producer_.Space(1), 16u);
  (void)this->producer_.Publish();
  EXPECT_FALSE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->consumer_.violation(), Violation::kNone);
}

TYPED_TEST(RingTest, AChainLongerThanAllowedIsRefused) {
  this->Open(64, 1024);  // 65535 bytes would take 64 slots.
  EXPECT_TRUE(PutBytes(this->producer_, Pattern(1, kMaxParts * 1024)).ok());
  EXPECT_EQ(PutBytes(this->producer_, Pattern(1, kMaxParts * 1024 + 1)), Status(Error::kInvalidArgument));
  (void)this->producer_.Publish();
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_EQ(this->received_.entries, kMaxParts);
}

TYPED_TEST(RingTest, ControlMessagesKeepTheirPlaceAmongFrames) {
  this->Open(8);
  ControlMessage message = {};
  message.type = static_cast<uint16_t>(ControlType::kLeaseReply);
  message.id = 77;
  message.protocol = 17;
  message.port = 5353;
  message.sequence = 0x100000002;
  message.token = 0xfeedfacecafebeef;
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 60)).ok());
  ASSERT_TRUE(this->producer_.PutControl(message).ok());
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(2, 60)).ok());
  (void)this->producer_.Publish();
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_FALSE(this->received_.control);
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  ASSERT_TRUE(this->received_.control);
  EXPECT_EQ(std::memcmp(&this->received_.message, &message, sizeof(message)), 0);
  EXPECT_EQ(this->received_.entries, 1u);
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_FALSE(this->received_.control);
  EXPECT_EQ(BytesOf(this->received_), Pattern(2, 60));
}

TYPED_TEST(RingTest, ControlNeedsRoomAndSense) {
  this->Open(2);
  ControlMessage message = {};
  EXPECT_EQ(this->producer_.PutControl(message), Status(Error::kInvalidArgument));
  message.type = static_cast<uint16_t>(ControlType::kModeChanged);
  EXPECT_TRUE(this->producer_.PutControl(message).ok());
  EXPECT_TRUE(this->producer_.PutControl(message).ok());
  EXPECT_EQ(this->producer_.PutControl(message), Status(Error::kAgain));
}

TYPED_TEST(RingTest, CommittingWhatWasNotLookedAtStopsTheDomain) {
  this->Open(8);
  ASSERT_TRUE(PutBytes(this->producer_, Pattern(1, 60)).ok());
  (void)this->producer_.Publish();
  ASSERT_TRUE(this->consumer_.Peek(this->received_));
  EXPECT_DEATH((void)this->consumer_.Commit(2), "");
}

TEST(ViolationTest, EachHasANameOfItsOwn) {
  for (int i = 0; i < static_cast<int>(Violation::kCount); ++i) {
    EXPECT_STRNE(ToString(static_cast<Violation>(i)), "unknown");
    for (int j = 0; j < i; ++j) {
      EXPECT_STRNE(ToString(static_cast<Violation>(i)), ToString(static_cast<Violation>(j)));
    }
  }
  EXPECT_STREQ(ToString(Violation::kCount), "unknown");
}

}  // namespace
}  // namespace librettos::channel
