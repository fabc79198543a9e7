#include "drivers/net/virtio.h"

#include <string.h>

#include <algorithm>
#include <new>
#include <utility>

#include "drivers/net/gather.h"
#include "drivers/net/pci_capability.h"
#include "drivers/net/tap_header.h"

namespace librettos {

using virtio::Queue;

namespace {

constexpr uint32_t kDeviceId = 0x1041;  // Section 4.1.2: 0x1040 and the device's type, 1.
constexpr uint16_t kReceiveQueue = 0, kTransmitQueue = 1;
constexpr uint32_t kMaxMtu = 9000;
constexpr uint32_t kTagBytes = 4;

// Section 5.1.3.
constexpr uint64_t kChecksum = 1 << 0, kGuestChecksum = 1 << 1, kMac = 1 << 5, kGuestTcp4 = 1 << 7,
                   kGuestTcp6 = 1 << 8, kHostTcp4 = 1 << 11, kHostTcp6 = 1 << 12, kMergeBuffers = 1 << 15,
                   kStatus = 1 << 16;
constexpr uint64_t kWanted = kChecksum | kGuestChecksum | kMac | kGuestTcp4 | kGuestTcp6 | kHostTcp4 |
                             kHostTcp6 | kMergeBuffers | kStatus | virtio::kEventIndex | virtio::kVersion1 |
                             virtio::kAccessPlatform;
// Section 5.1.4.
constexpr uint32_t kConfigMac = 0, kConfigStatus = 6;
constexpr uint16_t kLinkUp = 1;

// Section 5.1.6, with what VIRTIO_F_VERSION_1 adds.
struct Header {
  VnetHeader frame;
  uint16_t buffers;
};
static_assert(sizeof(Header) == 12);

// A feature is no use without what it stands on (5.1.3.1); received segments take several buffers here.
uint64_t Usable(uint64_t features) {
  if (!(features & kChecksum)) features &= ~(kHostTcp4 | kHostTcp6);
  if (!(features & kGuestChecksum) || !(features & kMergeBuffers)) features &= ~(kGuestTcp4 | kGuestTcp6);
  return features;
}

}  // namespace

bool VirtioNic::Drives(uint32_t vendor, uint32_t device) {
  return vendor == virtio::kVendor && device == kDeviceId;
}

Result<NicOpening*> VirtioNic::Open(const Device& device) {
  if (device.kind != DeviceKind::kPci || !device.function || device.mtu > kMaxMtu)
    return Error::kInvalidArgument;
  return PciOpening::Begin(new (std::nothrow) VirtioNic(device));
}

VirtioNic::VirtioNic(const Device& device) : PciNic(*device.function, device), transport_(*device.function) {}

// The buffers are freed after this; a device that does not obey has lost the bus by then.
VirtioNic::~VirtioNic() { Close(); }

bool VirtioNic::StopStep() {
  if (!transport_.found()) return true;
  if (!std::exchange(stopping_, true)) return !transport_.BeginReset().ok();
  const Result<bool> reset = transport_.IsReset();
  return !reset.ok() || reset.value();
}

// ---- Opening

Result<bool> VirtioNic::PrepareStep() {
  Status status;
  switch (stage_) {
    case Stage::kCommon:
      status = transport_.FindCommon();
      stage_ = Stage::kNotify;
      break;
    case Stage::kNotify:
      status = transport_.FindNotify();
      stage_ = Stage::kDevice;
      break;
    case Stage::kDevice:
      transport_.FindDevice();
      status = transport_.BeginReset();
      stage_ = Stage::kReset;
      break;
    case Stage::kReset: {
      const Result<bool> reset = transport_.IsReset();
      if (!reset.ok()) return reset.error();
      if (reset.value()) stage_ = Stage::kFeatures;
      break;
    }
    case Stage::kFeatures:
      status = ChooseFeatures();
      if (!status.ok()) break;
      return true;
  }
  if (!status.ok()) return status.error();
  return false;
}

Status VirtioNic::ChooseFeatures() {
  transport_.Acknowledge();
  features_ = Usable(transport_.OfferedFeatures() & kWanted);
  if (!(features_ & virtio::kVersion1)) return Error::kUnsupported;
  const Status status = transport_.Accept(features_);
  if (!status.ok()) return status;
  const uint32_t longest = sizeof(Header) + mtu() + kEthernetHeaderBytes + kTagBytes;
  if (!(features_ & kMergeBuffers) && longest > Queue::kBufferBytes) return Error::kUnsupported;
  return {};
}

Status VirtioNic::AllocateInterrupts() {
  Result<unsigned> vectors = function_.EnableInterrupts(3);
  if (!vectors.ok()) return vectors.error();
  vectors_ = *vectors;
  return {};
}

Status VirtioNic::Start() {
  Status status = OpenQueues();
  if (!status.ok()) return status;
  MacAddress own = address();
  if (own == MacAddress{} && (features_ & kMac)) {
    for (uint32_t i = 0; i < own.size(); ++i) own[i] = transport_.ReadDevice8(kConfigMac + i);
    SetAddress(own);
  }
  function_.SetBusMaster(true);
  transport_.DriverOk();
  if (transport_.ReadStatus() & (virtio::kNeedsReset | virtio::kFailed)) return Error::kIo;
  while (receive_.free() > 0) OfferBuffer();
  receive_.Publish(transport_);
  UpdateLink();
  return gone() ? Status(Error::kUnavailable) : Status();
}

Status VirtioNic::OpenQueues() {
  const uint16_t link = vectors_ > 2 ? 2 : vectors_ > 1 ? 1 : 0;
  const uint16_t sent = vectors_ > 2 ? 1 : 0;
  const bool event_index = features_ & virtio::kEventIndex;
  Status status = transport_.SetConfigVector(link);
  if (status.ok()) status = receive_.Open(function_, transport_, kReceiveQueue, 0, event_index);
  if (status.ok()) status = transmit_.Open(function_, transport_, kTransmitQueue, sent, event_index);
  if (!status.ok()) return status;
  function_.SetInterruptHandler(0, queue_handler());
  if (sent != 0) function_.SetInterruptHandler(sent, queue_handler());
  if (link != 0) function_.SetInterruptHandler(link, link_handler());
  return {};
}

NicFeatures VirtioNic::features() const {
  return {.checksum = (features_ & kChecksum) != 0,
          .segmentation = (features_ & kHostTcp4) && (features_ & kHostTcp6),
          .large_receive = (features_ & (kGuestTcp4 | kGuestTcp6)) != 0};
}

PciNic::Link VirtioNic::ReadLink() {
  const uint8_t status = transport_.ReadStatus();
  if (status == 0xff || (status & virtio::kNeedsReset)) return Link::kGone;
  if (!(features_ & kStatus)) return Link::kUp;
  return transport_.ReadDevice16(kConfigStatus) & kLinkUp ? Link::kUp : Link::kDown;
}

void VirtioNic::CheckQueues() {
  if (receive_.broken() || transmit_.broken()) GiveUp("virtio: the device broke the rules of its queues");
}

// ---- Transmit

void VirtioNic::Reclaim() {
  Queue::Used used;
  for (uint16_t waiting = transmit_.Waiting(); waiting > 0 && transmit_.Peek(0, used); --waiting)
    transmit_.Pop(used);
  CheckQueues();
}

PciNic::Sent VirtioNic::Put(const OutFrame& frame) {
  Header header = {};
  const bool segments = frame.offload.segmentation != Segmentation::kNone;
  if (!Gather::IsWhole(frame) || !ToHeader(frame.offload, frame.length, header.frame)) return Sent::kRefused;
  if (!segments && frame.length > mtu() + kEthernetHeaderBytes + kTagBytes) return Sent::kRefused;
  if ((frame.offload.needs_checksum && !features().checksum) || (segments && !features().segmentation))
    return Sent::kRefused;
  header.frame.flags &= VnetHeader::kNeedsChecksum;  // The other is for what is received (5.1.6.2).
  const uint32_t length = sizeof(Header) + frame.length;
  const uint32_t wanted = (length + Queue::kBufferBytes - 1) / Queue::kBufferBytes;
  if (wanted > transmit_.size()) return Sent::kRefused;
  if (wanted > transmit_.free() || gone()) return Sent::kFull;
  Gather gather(frame);
  uint32_t skip = sizeof(Header);
  for (uint32_t left = frame.length; left > 0;) {
    std::byte* buffer = transmit_.buffer(transmit_.Allocate());
    if (skip) memcpy(buffer, &header, sizeof(Header));
    const uint32_t bytes = std::min(left, Queue::kBufferBytes - skip);
    (void)gather.Copy(buffer + skip, bytes);  // The parts were counted: they do not end before.
    left -= bytes;
    skip = 0;
  }
  transmit_.Put(length, false);
  return Sent::kTaken;
}

void VirtioNic::PublishSent() {
  if (!gone()) transmit_.Publish(transport_);
}

// ---- Receive

void VirtioNic::OfferBuffer() {
  receive_.Allocate();
  receive_.Put(Queue::kBufferBytes, true);
}

uint16_t VirtioNic::NextFrame() {
  const uint16_t waiting = receive_.Waiting();
  Queue::Used first;
  if (waiting == 0 || !receive_.Peek(0, first)) return 0;
  if (!(features_ & kMergeBuffers)) return 1;
  uint16_t buffers;
  memcpy(&buffers, receive_.buffer(first.head) + offsetof(Header, buffers), sizeof(buffers));
  // More than there can be: the frame is refused as it is taken.
  if (buffers == 0 || buffers > receive_.size()) return 1;
  return buffers <= waiting ? buffers : 0;
}

bool VirtioNic::FrameReady() {
  const bool ready = NextFrame() > 0;
  CheckQueues();
  return ready;
}

PciNic::Got VirtioNic::Take(InFrame& frame) {
  const uint16_t buffers = NextFrame();
  CheckQueues();
  if (buffers == 0 || gone()) return Got::kNothing;
  Header header = {};
  size_t length = 0;
  bool good = true;
  for (uint16_t i = 0; i < buffers; ++i) {
    Queue::Used used;
    if (!receive_.Peek(0, used)) {
      CheckQueues();
      return Got::kNothing;
    }
    const std::byte* data = receive_.buffer(used.head);
    uint32_t bytes = used.length;
    if (bytes > Queue::kBufferBytes || (i == 0 && bytes < sizeof(Header))) good = false;
    if (i == 0 && good) {
      memcpy(&header, data, sizeof(Header));
      // As NextFrame saw it: the device may change it in between.
      good = !(features_ & kMergeBuffers) || header.buffers == buffers;
      data += sizeof(Header);
      bytes -= sizeof(Header);
    }
    good = good && bytes <= frame.buffer.size() - length;
    if (good) {
      memcpy(frame.buffer.data() + length, data, bytes);
      length += bytes;
    }
    receive_.Pop(used);
    OfferBuffer();
  }
  if (!(features_ & kGuestChecksum)) header.frame.flags = 0;
  if (!good || length < kEthernetHeaderBytes ||
      !FromHeader(header.frame, static_cast<uint32_t>(length), frame.offload)) {
    return Got::kBad;
  }
  frame.length = static_cast<uint32_t>(length);
  return Got::kFrame;
}

void VirtioNic::PublishTaken() { receive_.Publish(transport_); }

// ---- Interrupts

void VirtioNic::Arm(bool room) {
  if (room) transmit_.Arm(transmit_.size() / 8);
  receive_.Arm(0);
}

void VirtioNic::Disarm() {
  receive_.Disarm();
  transmit_.Disarm();
}

void VirtioNic::OnInterrupt(bool) {
  if (vectors_ == 1) UpdateLink();
}

}  // namespace librettos
