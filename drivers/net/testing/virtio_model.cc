#include "drivers/net/testing/virtio_model.h"

#include <algorithm>
#include <cstring>

#include "drivers/net/tap_header.h"
#include "drivers/net/virtio.h"

namespace librettos::fake {
namespace {

constexpr unsigned kBar = 4;
constexpr uint32_t kCommon = 0, kIsr = 0x1000, kConfig = 0x2000, kNotify = 0x3000, kStructure = 0x1000;
constexpr uint32_t kNotifyMultiplier = 4;
constexpr size_t kHeaderBytes = 12;

std::vector<uint8_t> Capability(uint8_t type, uint32_t offset, uint32_t more = 0, bool has_more = false) {
  std::vector<uint8_t> content = {static_cast<uint8_t>(has_more ? 20 : 16), type, kBar, 0, 0, 0};
  for (uint32_t word : {offset, kStructure, more}) {
    for (int i = 0; i < 4; ++i) content.push_back(static_cast<uint8_t>(word >> 8 * i));
  }
  if (!has_more) content.resize(14);
  return content;
}

}  // namespace

VirtioModel::VirtioModel(uint64_t features, unsigned vectors, uint16_t queue_size)
    : pci_(0x1af4, 0x1041, {{1, 0x1000}, {kBar, 0x4000}}), features_(features), queue_size_(queue_size) {
  pci_.SetModel(this);
  pci_.SetInterrupts(true, vectors);
  // First one that must be passed over: its BAR does not exist.
  std::vector<uint8_t> stray = Capability(1, kCommon);
  stray[2] = 6;
  pci_.AddCapability(0x09, stray);
  pci_.AddCapability(0x09, Capability(1, kCommon));
  pci_.AddCapability(0x09, Capability(3, kIsr));
  pci_.AddCapability(0x09, Capability(4, kConfig));
  pci_.AddCapability(0x09, Capability(2, kNotify, kNotifyMultiplier, true));
  Reset();
}

Result<Nic*> VirtioModel::Open(const MacAddress& address, uint32_t mtu) {
  device_.kind = DeviceKind::kPci;
  device_.descriptor = -1;
  device_.mtu = mtu;
  device_.function = &pci_;
  std::copy(address.begin(), address.end(), device_.address);
  return VirtioNic::Create(device_);
}

void VirtioModel::Reset() {
  status_ = 0;
  accepted_ = 0;
  config_vector_ = kNoVector;
  queues_ = {};
  for (Queue& queue : queues_) queue.size = queue_size_;
}

std::string VirtioModel::Complaints() const {
  std::string all;
  for (const std::string& complaint : complaints_) all += complaint + "; ";
  if (pci_.faults()) all += "DMA outside of what was allocated";
  return all;
}

bool VirtioModel::Quiet() const {
  return status_ == 0 && !pci_.bus_master() && !pci_.interrupts_enabled() && pci_.dma_blocks() == 0;
}

// ---- Registers

uint32_t VirtioModel::Read(unsigned bar, uint64_t offset, unsigned width) {
  if (bar != kBar) return 0;
  if (offset < kIsr)
    return ReadCommon(static_cast<uint32_t>(offset)) & (width == 4 ? ~0u : (1u << 8 * width) - 1);
  if (offset >= kConfig && offset < kConfig + 8) {
    uint8_t config[8];
    std::copy(kOwnAddress.begin(), kOwnAddress.end(), config);
    config[6] = link_up_;
    config[7] = 0;
    uint32_t value = 0;
    std::memcpy(&value, config + (offset - kConfig), width);
    return value;
  }
  return 0;
}

uint32_t VirtioModel::ReadCommon(uint32_t offset) {
  const Queue* queue = selected_ < queues_.size() ? &queues_[selected_] : nullptr;
  switch (offset) {
    case 0x04:
      return static_cast<uint32_t>(features_ >> (device_select_ ? 32 : 0));
    case 0x10:
      return config_vector_;
    case 0x12:
      return static_cast<uint32_t>(queues_.size());
    case 0x14:
      return status_;
    case 0x18:
      return queue ? queue->size : 0;
    case 0x1a:
      return queue ? queue->vector : kNoVector;
    case 0x1c:
      return queue && queue->enabled;
    case 0x1e:
      return selected_;
    default:
      return 0;
  }
}

void VirtioModel::Write(unsigned bar, uint64_t offset, unsigned, uint32_t value) {
  if (bar != kBar) return;
  if (offset < kIsr) return WriteCommon(static_cast<uint32_t>(offset), value);
  if (offset < kNotify) return Complain("write to a structure that is read-only");
  const uint64_t queue = (offset - kNotify) / kNotifyMultiplier;
  if (queue != value || queue >= queues_.size() || !queues_[queue].enabled)
    return Complain("notification of queue " + std::to_string(value) + " at " + std::to_string(offset));
  if (!(status_ & 4)) Complain("notification before DRIVER_OK");
  queue == 0 ? ReceiveWaiting() : Send();
}

void VirtioModel::WriteCommon(uint32_t offset, uint32_t value) {
  Queue none;
  Queue& queue = selected_ < queues_.size() ? queues_[selected_] : none;
  const auto half = [value](uint64_t& whole, bool high) {
    whole = high ? (whole & 0xffffffff) | uint64_t{value} << 32 : (whole >> 32 << 32) | value;
  };
  const auto vector = [&] {
    return value < 4 && pci_.interrupts_enabled() ? static_cast<uint16_t>(value) : kNoVector;
  };
  if (offset >= 0x18 && offset < 0x38 && queue.enabled) Complain("enabled queue changed");
  switch (offset) {
    case 0x00:
      device_select_ = value;
      return;
    case 0x08:
      driver_select_ = value;
      return;
    case 0x0c:
      if (status_ & 8) Complain("features changed after FEATURES_OK");
      half(accepted_, driver_select_ != 0);
      return;
    case 0x10:
      config_vector_ = vector();
      return;
    case 0x14:
      if (value == 0) {
        if (bad_ != Bad::kNoReset) Reset();
        return;
      }
      if ((value & status_) != status_) Complain("status bits cleared");
      if (value & 8 & ~status_) {
        if (accepted_ & ~features_) Complain("features accepted that were not offered");
        if ((Has(11) || Has(12)) && !Has(0)) Complain("HOST_TSO without CSUM");
        if ((Has(7) || Has(8)) && !Has(1)) Complain("GUEST_TSO without GUEST_CSUM");
        if (features_refused_) value &= ~8u;
      }
      if ((value & 4) && !(status_ & 8)) Complain("DRIVER_OK without FEATURES_OK");
      status_ = static_cast<uint8_t>(value);
      return;
    case 0x16:
      selected_ = static_cast<uint16_t>(value);
      return;
    case 0x18:
      if (value > queue_size_ || (value & (value - 1))) Complain("queue size");
      queue.size = static_cast<uint16_t>(value);
      return;
    case 0x1a:
      queue.vector = vector();
      return;
    case 0x1c:
      if (queue.descriptors % 16 || queue.driver % 2 || queue.device % 4) Complain("rings not aligned");
      queue.enabled = true;
      return;
    case 0x20:
    case 0x24:
      return half(queue.descriptors, offset & 4);
    case 0x28:
    case 0x2c:
      return half(queue.driver, offset & 4);
    case 0x30:
    case 0x34:
      return half(queue.device, offset & 4);
    default:
      Complain("write to common configuration at " + std::to_string(offset));
  }
}

void VirtioModel::SetLink(bool up) {
  link_up_ = up;
  if (config_vector_ != kNoVector) pci_.Fire(config_vector_);
}

// ---- Queues

template <class T>
T VirtioModel::Load(uint64_t at) {
  T value{};
  if (const std::byte* memory = pci_.Dma(at, sizeof(T))) std::memcpy(&value, memory, sizeof(T));
  return value;
}

template <class T>
void VirtioModel::Store(uint64_t at, T value) {
  if (std::byte* memory = pci_.Dma(at, sizeof(T))) std::memcpy(memory, &value, sizeof(T));
}

uint16_t VirtioModel::AvailableIndex(const Queue& queue) { return Load<uint16_t>(queue.driver + 2); }

bool VirtioModel::Next(Queue& queue, bool write, Chain& chain) {
  const uint16_t waiting = AvailableIndex(queue) - queue.taken;
  if (waiting == 0) return false;
  if (waiting > queue.size) Complain("more available than the queue holds");
  chain = {Load<uint16_t>(queue.driver + 4 + 2 * (queue.taken % queue.size)), {}};
  ++queue.taken;
  uint16_t at = chain.head;
  for (int i = 0; i <= queue.size; ++i) {
    if (at >= queue.size) break;
    const uint64_t descriptor = queue.descriptors + 16 * at;
    const uint64_t address = Load<uint64_t>(descriptor);
    const uint32_t bytes = Load<uint32_t>(descriptor + 8);
    const uint16_t flags = Load<uint16_t>(descriptor + 12);
    if (((flags & 2) != 0) != write) Complain("buffer of the wrong direction");
    if (std::byte* data = pci_.Dma(address, bytes)) chain.pieces.push_back({data, bytes});
    if (!(flags & 1)) return true;
    at = Load<uint16_t>(descriptor + 14);
  }
  Complain("descriptor chain has no end");
  return true;
}

void VirtioModel::Use(Queue& queue, uint16_t head, uint32_t length) {
  const uint64_t entry = queue.device + 4 + 8 * (queue.used % queue.size);
  uint32_t id = head;
  if (bad_ == Bad::kUsedId) id = 0x10000u + head;
  if (bad_ == Bad::kLength) length = 0xffffffff;
  Store<uint32_t>(entry, id);
  Store<uint32_t>(entry + 4, length);
  ++queue.used;
  if (bad_ == Bad::kUsedTwice) {
    const uint64_t again = queue.device + 4 + 8 * (queue.used % queue.size);
    Store<uint32_t>(again, id);
    Store<uint32_t>(again + 4, length);
    ++queue.used;
  }
  if (bad_ == Bad::kUsedIndex) queue.used += 1000;
}

void VirtioModel::PublishUsed(Queue& queue, uint16_t before) {
  Store<uint16_t>(queue.device + 2, queue.used);
  bool wanted = !(Load<uint16_t>(queue.driver) & 1);
  if (Has(29)) {
    const uint16_t event = Load<uint16_t>(queue.driver + 4 + 2 * queue.size);
    wanted = static_cast<uint16_t>(queue.used - event - 1) < static_cast<uint16_t>(queue.used - before);
  }
  if (wanted && queue.vector != kNoVector) pci_.Fire(queue.vector);
}

// Of whatever comes next.
void VirtioModel::WantNotification(Queue& queue) {
  if (Has(29)) Store<uint16_t>(queue.device + 4 + 8 * queue.size, queue.taken);
}

// ---- Transmit

void VirtioModel::SetHold(bool hold) {
  hold_ = hold;
  if (status_ & 4) Send();
}

void VirtioModel::Send() {
  Queue& queue = queues_[1];
  if (hold_ || pci_.withdrawn() || !queue.enabled) return;
  const uint16_t before = queue.used;
  std::vector<uint16_t> heads;
  Chain chain;
  while (Next(queue, false, chain)) {
    SendChain(chain);
    heads.push_back(chain.head);
  }
  // Without VIRTIO_F_IN_ORDER buffers come back in any order.
  for (auto head = heads.rbegin(); head != heads.rend(); ++head) Use(queue, *head, 0);
  if (!heads.empty()) PublishUsed(queue, before);
  WantNotification(queue);
}

void VirtioModel::SendChain(const Chain& chain) {
  Frame frame;
  for (const Piece& piece : chain.pieces) frame.insert(frame.end(), piece.data, piece.data + piece.bytes);
  if (frame.size() < kHeaderBytes + 14) return Complain("frame too short");
  VnetHeader header;
  std::memcpy(&header, frame.data(), sizeof(header));
  frame.erase(frame.begin(), frame.begin() + kHeaderBytes);
  if (header.flags & ~VnetHeader::kNeedsChecksum) Complain("flags in the header of a frame to send");
  if ((header.flags & VnetHeader::kNeedsChecksum) && !Has(0)) Complain("checksum without the feature");
  const bool segments = header.gso_type != VnetHeader::kNoSegments;
  if (segments && !Has(header.gso_type == VnetHeader::kTcp4 ? 11 : 12))
    Complain("segmentation without the feature");
  if (segments) {
    for (Frame& segment : Segments(frame, header.gso_size)) sent_.push_back(std::move(segment));
    return;
  }
  if (header.flags & VnetHeader::kNeedsChecksum) {
    const size_t field = header.csum_start + header.csum_offset;
    Put16(frame, field, static_cast<uint16_t>(~Sum(std::span(frame).subspan(header.csum_start))));
  }
  sent_.push_back(std::move(frame));
}

// ---- Receive

void VirtioModel::DeliverWhole(const Frame& frame, const Offload& offload) {
  arriving_.emplace_back(frame, offload);
  if (status_ & 4) ReceiveWaiting();
}

void VirtioModel::ReceiveWaiting() {
  Queue& queue = queues_[0];
  const uint16_t before = queue.used;
  while (!arriving_.empty() && !pci_.withdrawn() && queue.enabled &&
         ReceiveOne(arriving_.front().first, arriving_.front().second)) {
    arriving_.pop_front();
  }
  if (queue.used != before) PublishUsed(queue, before);
  if (!pci_.withdrawn() && queue.enabled) WantNotification(queue);
}

bool VirtioModel::ReceiveOne(const Frame& frame, const Offload& offload) {
  Queue& queue = queues_[0];
  std::byte header[kHeaderBytes] = {};
  VnetHeader& vnet = *reinterpret_cast<VnetHeader*>(header);
  if (!ToHeader(offload, static_cast<uint32_t>(frame.size()), vnet)) Complain("test: bad offload");
  if (bad_ == Bad::kChecksumStart) {
    vnet.flags = VnetHeader::kNeedsChecksum;
    vnet.csum_start = 0xffff;
  }
  Frame all(header, header + kHeaderBytes);
  all.insert(all.end(), frame.begin(), frame.end());
  // Buffers are all of one size here, the first one's.
  const uint16_t waiting = AvailableIndex(queue) - queue.taken;
  if (waiting == 0) return false;
  const uint16_t first = queue.taken;
  Chain chain;
  size_t done = 0;
  uint16_t buffers = 0;
  std::byte* count = nullptr;
  std::vector<std::pair<uint16_t, uint32_t>> filled;
  while (done < all.size()) {
    if (!Next(queue, true, chain)) {
      queue.taken = first;  // Not enough for this frame.
      return false;
    }
    const size_t start = done;
    for (const Piece& piece : chain.pieces) {
      const size_t bytes = std::min<size_t>(piece.bytes, all.size() - done);
      std::memcpy(piece.data, all.data() + done, bytes);
      done += bytes;
    }
    if (!count && !chain.pieces.empty()) count = chain.pieces[0].data + 10;
    filled.emplace_back(chain.head, static_cast<uint32_t>(done - start));
    ++buffers;
    if (!Has(15) && done < all.size()) {
      Complain("test: frame too long for one buffer");
      break;
    }
  }
  if (bad_ == Bad::kBuffers) buffers = 0;
  if (count) std::memcpy(count, &buffers, 2);
  for (const auto& [head, bytes] : filled) Use(queue, head, bytes);
  return true;
}

}  // namespace librettos::fake
