// What a hostile peer can write into a ring, and that it costs nothing but this ring.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>

#include "guest/channel/ring.h"
#include "guest/channel/ring_memory.h"

namespace librettos::channel {
namespace {

constexpr uint32_t kEntries = 64;
constexpr uint32_t kSlot = 2048;

Descriptor Good(uint16_t length = 60, uint16_t flags = 0) {
  Descriptor d = {};
  d.length = length;
  d.flags = flags;
  return d;
}

struct Case {
  std::string name;
  Violation expected;
  std::vector<Descriptor> chain;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  auto add = [&](std::string name, Violation expected, std::vector<Descriptor> chain) {
    cases.push_back({std::move(name), expected, std::move(chain)});
  };
  auto with = [](Descriptor d, auto change) {
    change(d);
    return d;
  };
  const Descriptor more = Good(60, kMore), last = Good(60);
  add("a good frame", Violation::kNone, {last});
  add("a good chain", Violation::kNone, {more, more, last});
  add("slot out of range", Violation::kBadSlot, {with(last, [](auto& d) { d.slot = kEntries; })});
  add("slot far out of range", Violation::kBadSlot, {with(last, [](auto& d) { d.slot = ~0u; })});
  add("second slot out of range", Violation::kBadSlot,
      {more, with(last, [](auto& d) { d.slot = kEntries; })});
  add("no bytes", Violation::kBadLength, {Good(0)});
  add("longer than a slot", Violation::kBadLength, {Good(kSlot + 1)});
  add("shorter than an Ethernet header", Violation::kBadLength, {Good(13)});
  add("chain shorter than an Ethernet header", Violation::kBadLength, {Good(6, kMore), Good(7)});
  add("second without bytes", Violation::kBadLength, {more, Good(0)});
  add("second longer than a slot", Violation::kBadLength, {more, Good(kSlot + 1)});
  add("more bytes than a frame can have", Violation::kBadLength, [] {
    std::vector<Descriptor> chain(32, Good(kSlot, kMore));  // 65536
    chain.back().flags = 0;
    return chain;
  }());
  add("as many bytes as a frame can have", Violation::kNone, [] {
    std::vector<Descriptor> chain(32, Good(kSlot, kMore));
    chain.back() = Good(kSlot - 1);
    return chain;
  }());
  for (int bit = 6; bit < 16; ++bit) {
    add("unknown flag " + std::to_string(bit), Violation::kBadFlags,
        {Good(60, static_cast<uint16_t>(1 << bit))});
  }
  for (int bit = 1; bit < 16; ++bit) {
    add("flag in a second descriptor " + std::to_string(bit), Violation::kBadFlags,
        {more, Good(60, static_cast<uint16_t>(1 << bit))});
  }
  add("both segmentations", Violation::kBadFlags,
      {with(Good(60, kSegmentTcp4 | kSegmentTcp6 | kNeedsChecksum), [](auto& d) {
        d.checksum_start = 34;
        d.segment_bytes = 1;
      })});
  auto checksum = [&](uint16_t start, uint16_t offset) {
    return with(Good(60, kNeedsChecksum), [&](auto& d) {
      d.checksum_start = start;
      d.checksum_offset = offset;
    });
  };
  add("checksum up to the last byte", Violation::kNone, {checksum(34, 24)});
  add("checksum one byte beyond", Violation::kBadOffload, {checksum(34, 25)});
  add("checksum start beyond", Violation::kBadOffload, {checksum(59, 0)});
  add("checksum offsets that add up beyond 16 bits", Violation::kBadOffload, {checksum(65535, 65535)});
  add("checksum in the Ethernet header", Violation::kBadOffload, {checksum(13, 0)});
  add("checksum offsets without flag", Violation::kBadOffload,
      {with(last, [](auto& d) { d.checksum_start = 34; })});
  add("checksum offset without flag", Violation::kBadOffload,
      {with(last, [](auto& d) { d.checksum_offset = 1; })});
  for (uint16_t segment : {kSegmentTcp4, kSegmentTcp6}) {
    auto segmented = [&](uint16_t flags, uint16_t bytes, uint16_t start) {
      return with(Good(60, static_cast<uint16_t>(segment | flags)), [&](auto& d) {
        d.segment_bytes = bytes;
        d.checksum_start = start;
      });
    };
    add("segmentation", Violation::kNone, {segmented(kNeedsChecksum, 1460, 34)});
    add("segmentation without checksum", Violation::kBadOffload, {segmented(0, 1460, 0)});
    add("segments of no bytes", Violation::kBadOffload, {segmented(kNeedsChecksum, 0, 34)});
  }
  add("segment bytes without flag", Violation::kBadOffload,
      {with(last, [](auto& d) { d.segment_bytes = 1; })});
  add("header hint beyond the frame", Violation::kBadOffload,
      {with(last, [](auto& d) { d.header_bytes = 61; })});
  add("offload in a second descriptor", Violation::kBadOffload,
      {more, with(last, [](auto& d) { d.header_bytes = 1; })});
  add("chain beyond what was published", Violation::kEndlessChain, {more, more});
  add("longest chain", Violation::kNone, [] {
    std::vector<Descriptor> chain(kMaxParts, Good(60, kMore));
    chain.back().flags = 0;
    return chain;
  }());
  add("chain of too many", Violation::kEndlessChain, [] {
    std::vector<Descriptor> chain(kMaxParts + 1, Good(60, kMore));
    chain.back().flags = 0;
    return chain;
  }());
  add("chain of the whole ring", Violation::kEndlessChain,
      std::vector<Descriptor>(kEntries, Good(60, kMore)));
  add("control of another size", Violation::kBadControl, {Good(sizeof(ControlMessage) - 1, kControl)});
  add("control with offload", Violation::kBadControl,
      {with(Good(sizeof(ControlMessage), kControl), [](auto& d) { d.header_bytes = 1; })});
  add("control that goes on", Violation::kBadFlags, {Good(sizeof(ControlMessage), kControl | kMore), last});
  add("control with checksum", Violation::kBadFlags,
      {Good(sizeof(ControlMessage), kControl | kNeedsChecksum)});
  add("control of type 0", Violation::kBadControl, {Good(sizeof(ControlMessage), kControl)});
  return cases;
}

template <class Index>
void RunCases(uint32_t start) {
  for (const Case& c : Cases()) {
    RingMemory memory(kEntries, kSlot, start);
    Consumer<Index> consumer;
    ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
    for (uint32_t i = 0; i < c.chain.size(); ++i) memory.Write(i, c.chain[i]);
    memory.Advance(static_cast<uint32_t>(c.chain.size()));
    Received received;
    EXPECT_EQ(consumer.Peek(received), c.expected == Violation::kNone) << c.name;
    EXPECT_EQ(consumer.violation(), c.expected) << c.name << ": " << ToString(consumer.violation());
    if (c.expected == Violation::kNone) {
      EXPECT_EQ(received.entries, c.chain.size()) << c.name;
      BytesOf(received);
      continue;
    }
    // For good: also when what follows would be right.
    memory.Write(0, Good());
    memory.Advance(1);
    EXPECT_FALSE(consumer.Peek(received)) << c.name;
    EXPECT_FALSE(consumer.Commit(1)) << c.name;
    EXPECT_FALSE(consumer.ArmEvent()) << c.name;
    EXPECT_EQ(consumer.Pending(), 0u) << c.name;
    EXPECT_EQ(memory.control().consumer.index.load(), start) << c.name;
    EXPECT_EQ(consumer.violation(), c.expected) << c.name;
  }
}

TEST(RingHostileTest, Descriptors) { RunCases<uint32_t>(0); }
TEST(RingHostileTest, DescriptorsAcrossTheEndOfTheRing) { RunCases<uint32_t>(kEntries - 1); }
TEST(RingHostileTest, DescriptorsAcrossTheEndOfTheCounter) { RunCases<uint8_t>(255); }

TEST(RingHostileTest, ControlMessages) {
  struct {
    const char* name;
    ControlMessage message;
    bool good;
  } cases[] = {
      {"request", {1, 0, 9, 6, {}, 0, 0, 0, 0, 0, 0}, true},
      {"request for udp", {1, 0, 9, 17, {}, 80, 0, 0, 0, 0, 0}, true},
      {"request for icmp", {1, 0, 9, 1, {}, 80, 0, 0, 0, 0, 0}, false},
      {"request with status", {1, 1, 9, 6, {}, 80, 0, 0, 0, 0, 0}, false},
      {"release", {2, 0, 9, 6, {}, 80, 0, 7, 8, 0, 0}, true},
      {"release of no port", {2, 0, 9, 6, {}, 0, 0, 7, 8, 0, 0}, false},
      {"mode", {3, 0, 0, 0, {}, 0, 0, 0, 0, 1, 0}, true},
      {"mode unknown", {3, 0, 0, 0, {}, 0, 0, 0, 0, 2, 0}, false},
      {"mode with status", {3, 1, 0, 0, {}, 0, 0, 0, 0, 1, 0}, false},
      {"granted", {16, 0, 9, 6, {}, 80, 0, 7, 8, 0, 0}, true},
      {"granted without port", {16, 0, 9, 6, {}, 0, 0, 7, 8, 0, 0}, false},
      {"in use", {16, 1, 9, 6, {}, 80, 0, 0, 0, 0, 0}, true},
      {"bad request", {16, 4, 9, 0, {}, 0, 0, 0, 0, 0, 0}, true},
      {"status unknown", {16, 5, 9, 6, {}, 80, 0, 0, 0, 0, 0}, false},
      {"type 0", {0, 0, 9, 6, {}, 80, 0, 0, 0, 0, 0}, false},
      {"type 4", {4, 0, 9, 6, {}, 80, 0, 0, 0, 0, 0}, false},
      {"type 17", {17, 0, 9, 6, {}, 80, 0, 0, 0, 0, 0}, false},
      {"padding 1", {1, 0, 9, 6, {0, 0, 1}, 80, 0, 0, 0, 0, 0}, false},
      {"padding 2", {1, 0, 9, 6, {}, 80, 1, 0, 0, 0, 0}, false},
      {"padding 3", {1, 0, 9, 6, {}, 80, 0, 0, 0, 0, 1}, false},
  };
  for (const auto& c : cases) {
    RingMemory memory(kEntries);
    Consumer<> consumer;
    ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
    std::memcpy(memory.slot(0), &c.message, sizeof(c.message));
    memory.Write(0, Good(sizeof(ControlMessage), kControl));
    memory.Advance(1);
    Received received;
    EXPECT_EQ(consumer.Peek(received), c.good) << c.name;
    EXPECT_EQ(consumer.violation(), c.good ? Violation::kNone : Violation::kBadControl) << c.name;
    Producer<> producer;
    RingMemory own(kEntries);
    ASSERT_EQ(producer.Attach(own.view()), Violation::kNone);
    EXPECT_EQ(producer.PutControl(c.message).ok(), c.good) << c.name;
  }
}

template <class Index>
void ConsumerJumps() {
  // A start from which 8-bit counters wrap.
  for (uint32_t start : {0u, 250u}) {
    for (int jump : {-1, -5, int{kEntries} + 1, int{kEntries} + 60}) {
      RingMemory memory(kEntries, kSlot, start);
      Consumer<Index> consumer;
      ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
      for (uint32_t i = 0; i < kEntries; ++i) memory.Write(i, Good());
      memory.control().producer.index = start + static_cast<uint32_t>(jump);
      Received received;
      EXPECT_FALSE(consumer.Peek(received)) << jump;
      EXPECT_EQ(consumer.violation(), Violation::kIndexJump) << jump;
    }
    // Back to before what was already shown, though still beyond what was consumed.
    RingMemory memory(kEntries, kSlot, start);
    Consumer<Index> consumer;
    ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
    for (uint32_t i = 0; i < 5; ++i) memory.Write(i, Good());
    memory.Advance(5);
    EXPECT_EQ(consumer.Pending(), 5u);
    memory.control().producer.index = start + 4;
    EXPECT_EQ(consumer.Pending(), 0u);
    EXPECT_EQ(consumer.violation(), Violation::kIndexJump);
  }
}
TEST(RingHostileTest, ProducerIndexJumps) { ConsumerJumps<uint32_t>(); }
TEST(RingHostileTest, ProducerIndexJumps8) { ConsumerJumps<uint8_t>(); }

template <class Index>
void ProducerJumps() {
  for (uint32_t start : {0u, 250u}) {
    for (int jump : {-1, 3, int{kEntries}, 120}) {  // Two were published.
      RingMemory memory(kEntries, kSlot, start);
      Producer<Index> producer;
      ASSERT_EQ(producer.Attach(memory.view()), Violation::kNone);
      ASSERT_TRUE(PutBytes(producer, Pattern(1, 60)).ok());
      ASSERT_TRUE(PutBytes(producer, Pattern(2, 60)).ok());
      (void)producer.Publish();
      ASSERT_TRUE(PutBytes(producer, Pattern(3, 60)).ok());  // Not published: cannot have been consumed.
      memory.control().consumer.index = start + static_cast<uint32_t>(jump);
      EXPECT_EQ(producer.Space(kEntries), 0u) << jump;
      EXPECT_EQ(producer.violation(), Violation::kIndexJump) << jump;
      EXPECT_EQ(PutBytes(producer, Pattern(1, 60)), Status(Error::kProtocol));
      EXPECT_EQ(producer.PutControl({}), Status(Error::kProtocol));
      EXPECT_FALSE(producer.Publish());
      EXPECT_FALSE(producer.ArmEvent(1));
      EXPECT_FALSE(producer.Drained());
      EXPECT_EQ(memory.control().producer.index.load(), start + 2);
    }
    RingMemory memory(kEntries, kSlot, start);
    Producer<Index> producer;
    ASSERT_EQ(producer.Attach(memory.view()), Violation::kNone);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(PutBytes(producer, Pattern(1, 60)).ok());
    (void)producer.Publish();
    memory.control().consumer.index = start + 3;
    EXPECT_EQ(producer.Space(kEntries), kEntries - 1);
    memory.control().consumer.index = start + 2;  // Takes back what it freed.
    EXPECT_FALSE(producer.Drained());
    EXPECT_EQ(producer.violation(), Violation::kIndexJump);
  }
}
TEST(RingHostileTest, ConsumerIndexJumps) { ProducerJumps<uint32_t>(); }
TEST(RingHostileTest, ConsumerIndexJumps8) { ProducerJumps<uint8_t>(); }

TEST(RingHostileTest, AttachToImpossibleIndices) {
  for (int distance : {-1, int{kEntries} + 1}) {
    RingMemory memory(kEntries, kSlot, 1000);
    memory.control().producer.index = 1000 + static_cast<uint32_t>(distance);
    Producer<> producer;
    Consumer<> consumer;
    EXPECT_EQ(producer.Attach(memory.view()), Violation::kIndexJump);
    EXPECT_EQ(consumer.Attach(memory.view()), Violation::kIndexJump);
    Received received;
    EXPECT_FALSE(consumer.Peek(received));
    EXPECT_EQ(producer.Space(1), 0u);
  }
}

TEST(RingHostileTest, OverlappingSlotsAreReadNotTrusted) {
  RingMemory memory(kEntries);
  Consumer<> consumer;
  ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
  for (uint32_t i = 0; i < 3; ++i) memory.Write(i, Good(kSlot, i < 2 ? kMore : 0));  // Slot 0 three times.
  memory.Advance(3);
  Received received;
  ASSERT_TRUE(consumer.Peek(received));
  EXPECT_EQ(received.length, 3 * kSlot);
  EXPECT_EQ(received.part_count, 3u);
  BytesOf(received);
}

// A producer that rewrites everything at any time. Whatever is taken must be inside the memory (the sanitizer
// says) and consistent in itself.
TEST(RingHostileTest, AFlipperCannotHurt) {
  constexpr uint64_t kFlips = 200000;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> flips = 0;
  RingMemory memory(kEntries);
  std::thread flipper([&] {
    std::minstd_rand random(7);
    const uint16_t flags[] = {0, 0, 0, kMore, kMore, kControl, kNeedsChecksum, kChecksumValid, 0x8000};
    while (!stop.load(std::memory_order_relaxed)) {
      const uint32_t i = random() % kEntries;
      Descriptor d = {};
      d.slot = random() % 64 ? random() % kEntries : random();
      d.length = static_cast<uint16_t>(random() % 64 ? 1 + random() % kSlot : random());
      d.flags = flags[random() % std::size(flags)];
      if (random() % 32 == 0) d.checksum_start = static_cast<uint16_t>(random());
      uint64_t words[2];
      std::memcpy(words, &d, sizeof(d));
      auto* shared = reinterpret_cast<uint64_t*>(&memory.descriptor(i));
      __atomic_store_n(&shared[0], words[0], __ATOMIC_RELAXED);
      __atomic_store_n(&shared[1], words[1], __ATOMIC_RELAXED);
      flips.fetch_add(1, std::memory_order_relaxed);
    }
  });
  uint64_t taken = 0, violations[static_cast<int>(Violation::kCount)] = {};
  auto received = std::make_unique<Received>();
  Bytes copy(kMaxFrameBytes);
  while (flips.load(std::memory_order_relaxed) < kEntries * 20) std::this_thread::yield();
  for (uint32_t turn = 0; turn < 20000 || flips.load(std::memory_order_relaxed) < kFlips; ++turn) {
    memory.control().consumer.index = turn;
    memory.control().producer.index = turn + kEntries;
    Consumer<> consumer;
    ASSERT_EQ(consumer.Attach(memory.view()), Violation::kNone);
    while (consumer.Peek(*received)) {
      ++taken;
      if (!received->control) {
        ASSERT_GE(received->length, kEthernetHeaderBytes);
        ASSERT_LE(received->length, kMaxFrameBytes);
        uint32_t sum = received->header_length;
        for (uint32_t i = 0; i < received->part_count; ++i) sum += received->parts[i].length;
        ASSERT_EQ(sum, received->length);
        received->CopyTo(copy.data());
      }
      (void)consumer.Commit(received->entries);
    }
    ++violations[static_cast<int>(consumer.violation())];
  }
  stop = true;
  flipper.join();
  EXPECT_GT(taken, 0u);
  EXPECT_GT(
      violations[static_cast<int>(Violation::kBadSlot)] + violations[static_cast<int>(Violation::kBadFlags)],
      0u);
}

}  // namespace
}  // namespace librettos::channel
