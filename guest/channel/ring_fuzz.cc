// Both ends of a ring against a peer that writes anything in the shared memory between any two calls.
//
// Checked: nothing outside of the memory is read or written (the sanitizer), what is taken is consistent and
// lies in slots, each ring yields no more than was published, an end that found a violation stays shut and
// touches nothing.
#include <cstring>
#include <memory>

#include "bazel/fuzz_input.h"
#include "guest/channel/ring_memory.h"

namespace librettos::channel {
namespace {

constexpr int kMaxSteps = 512;

// A word of the shared memory as a hostile peer would choose it: often near what it would have to be.
uint32_t Near(FuzzInput& input, uint32_t now) {
  const uint8_t kind = input.U8();
  if (kind == 255) return input.U32();
  return now + static_cast<uint32_t>(static_cast<int8_t>(kind));
}

template <class Index>
class Fuzz {
 public:
  Fuzz(FuzzInput& input, uint32_t entries, uint32_t slot_bytes, uint32_t start)
      : input_(input), memory_(entries, slot_bytes, start), out_(new std::byte[kMaxFrameBytes]) {}

  void Run() {
    (void)consumer_.Attach(memory_.view());
    (void)producer_.Attach(memory_.view());
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) {
      const uint8_t op = input_.U8();
      op % 2 ? Mutate(op / 2) : op % 4 ? Consume(op / 4) : Produce(op / 4);
    }
  }

 private:
  void Mutate(uint8_t what) {
    RingControl& control = memory_.control();
    const uint32_t entries = memory_.view().entries;
    switch (what % 8) {
      case 0:
        control.producer.index = Near(input_, control.producer.index);
        break;
      case 1:
        control.consumer.index = Near(input_, control.consumer.index);
        break;
      case 2:
        control.producer.event_index = input_.U32();
        control.producer.event_wanted = input_.U8() % 3;
        break;
      case 3:
        control.consumer.event_index = input_.U32();
        control.consumer.event_wanted = input_.U8() % 3;
        break;
      case 4: {  // A whole descriptor.
        const auto bytes = input_.Take(sizeof(Descriptor));
        std::memcpy(&memory_.descriptor(consumer_index_ + what / 8), bytes.data(), bytes.size());
        break;
      }
      case 5: {  // One that is nearly right.
        const uint16_t flags[] = {0, kMore, kControl, kNeedsChecksum, kChecksumValid, kSegmentTcp4};
        Descriptor& d = memory_.descriptor(consumer_index_ + what / 8);
        d = {};
        d.slot = input_.U8() % (entries + 1);
        d.length = input_.U16() % (memory_.view().slot_bytes + 2);
        d.flags = flags[input_.U8() % std::size(flags)];
        if (d.flags & kControl) d.length = sizeof(ControlMessage);
        if (d.flags & kNeedsChecksum) d.checksum_start = input_.U8(), d.checksum_offset = input_.U8();
        break;
      }
      default: {  // Content of a slot: a control message, for one.
        const auto bytes = input_.Take(sizeof(ControlMessage));
        std::byte* slot = memory_.slot(what / 8 % entries);
        std::memcpy(slot, bytes.data(), std::min<size_t>(bytes.size(), memory_.view().slot_bytes));
      }
    }
  }

  void Consume(uint8_t what) {
    const uint32_t before = memory_.control().consumer.index;
    const bool shut = consumer_.violation() != Violation::kNone;
    bool worked = false;
    switch (what % 6) {
      case 0:
      case 1:
        worked = Peek();
        break;
      case 2: {
        const uint32_t entries = looked_at_ ? 1 + input_.U8() % looked_at_ : 0;
        (void)consumer_.Commit(entries);
        if (consumer_.violation() == Violation::kNone) looked_at_ -= entries, consumer_index_ += entries;
        break;
      }
      case 3:
        worked = consumer_.Pending() != 0;
        FUZZ_CHECK(consumer_.Pending() <= memory_.view().entries);
        break;
      case 4:
        worked = consumer_.ArmEvent();
        break;
      default:
        if (input_.U8() % 4) {
          consumer_.Rewind();
        } else {
          (void)consumer_.Attach(memory_.view());
          consumer_index_ = memory_.control().consumer.index;
        }
        looked_at_ = 0;
        return;
    }
    FUZZ_CHECK(looked_at_ <= memory_.view().entries);
    if (!shut) return;
    FUZZ_CHECK(!worked && memory_.control().consumer.index == before);
  }

  bool Peek() {
    // Everything that stands there, as the forwarder would: no more than the ring holds.
    uint32_t turns = 0;
    while (consumer_.Peek(received_)) {
      FUZZ_CHECK(++turns <= memory_.view().entries);
      looked_at_ += received_.entries;
      FUZZ_CHECK(received_.entries >= 1 && received_.entries <= kMaxParts);
      if (received_.control) {
        FUZZ_CHECK(received_.entries == 1);
        continue;
      }
      FUZZ_CHECK(received_.length >= kEthernetHeaderBytes && received_.length <= kMaxFrameBytes);
      FUZZ_CHECK(received_.header_length == std::min(received_.length, Received::kHeaderBytes));
      FUZZ_CHECK(received_.part_count <= kMaxParts);
      const std::byte* slots = memory_.view().slots;
      const size_t bytes = size_t{memory_.view().entries} * memory_.view().slot_bytes;
      uint32_t sum = received_.header_length;
      for (uint32_t i = 0; i < received_.part_count; ++i) {
        const Part& part = received_.parts[i];
        FUZZ_CHECK(part.length > 0 && part.data >= slots && part.data + part.length <= slots + bytes);
        sum += part.length;
      }
      FUZZ_CHECK(sum == received_.length);
      if (received_.offload.needs_checksum) {
        FUZZ_CHECK(received_.offload.checksum_start + received_.offload.checksum_offset + 2u <=
                   received_.length);
      }
      received_.CopyTo(out_.get());
    }
    return turns != 0;
  }

  void Produce(uint8_t what) {
    const uint32_t before = memory_.control().producer.index;
    const bool shut = producer_.violation() != Violation::kNone;
    bool worked = false;
    switch (what % 6) {
      case 0:
      case 1:
        worked = Put();
        break;
      case 2:
        worked = producer_.Publish();
        break;
      case 3: {
        const uint32_t needed = input_.U16();
        const uint32_t space = producer_.Space(needed);
        FUZZ_CHECK(space <= memory_.view().entries);
        worked = space != 0 || producer_.ArmEvent(needed) || producer_.Drained();
        break;
      }
      case 4: {
        ControlMessage message = {};
        const auto bytes = input_.Take(sizeof(message));
        std::memcpy(&message, bytes.data(), bytes.size());
        worked = producer_.PutControl(message).ok();
        break;
      }
      default:
        (void)producer_.Attach(memory_.view());
        return;
    }
    if (!shut) return;
    FUZZ_CHECK(!worked && memory_.control().producer.index == before);
  }

  bool Put() {
    // Parts of one private run of bytes, with an offload as the stack might say it.
    Part parts[3];
    OutFrame frame;
    for (Part& part : parts) {
      part = {out_.get(), input_.U16() % uint32_t{kMaxFrameBytes / std::size(parts)}};
      frame.length += part.length;
    }
    frame.parts = parts;
    const uint8_t kind = input_.U8();
    frame.offload.needs_checksum = kind & 1;
    frame.offload.segmentation = static_cast<Segmentation>(kind / 2 % 3);
    frame.offload.segment_bytes = kind & 16 ? 1448 : 0;
    frame.offload.checksum_start = kind & 32 ? input_.U16() : 34;
    frame.offload.checksum_offset = 16;
    if (kind & 64) ++frame.length;  // Parts that do not add up.
    return producer_.Put(frame).ok();
  }

  FuzzInput& input_;
  RingMemory memory_;
  std::unique_ptr<std::byte[]> out_;
  Consumer<Index> consumer_;
  Producer<Index> producer_;
  Received received_ = {};
  uint32_t looked_at_ = 0;       // Entries, not committed.
  uint32_t consumer_index_ = 0;  // Where mutations do most.
};

}  // namespace
}  // namespace librettos::channel

// Byte 0: number of entries (bits 0-3, also impossible ones), slot size (bit 4), index type (bit 7); byte 1:
// where the indices start; then operations.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace librettos::channel;
  librettos::FuzzInput input(data, size);
  const uint8_t geometry = input.U8();
  const uint32_t start = input.U8();
  const uint32_t exact[] = {1, 2, 4, 8, 16, 32, 64, 3};
  const uint32_t entries = exact[geometry & 7];
  const uint32_t slot_bytes = geometry & 16 ? 64 : 2048;
  if (geometry & 128) {
    Fuzz<uint8_t>(input, entries, slot_bytes, start).Run();
  } else {
    Fuzz<uint32_t>(input, entries, slot_bytes, start - 128).Run();
  }
  return 0;
}
