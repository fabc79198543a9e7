#include "drivers/net/testing/e1000e_model.h"

#include <algorithm>
#include <cstring>

#include "drivers/net/e1000e.h"
#include "drivers/net/e1000e_registers.h"

namespace librettos::fake {

using namespace e1000e;  // NOLINT: the registers' names.

namespace {

constexpr uint32_t kCtrlReserved = 1 << 3 | 1 << 20;  // 10.2.2.1: must stay one.
constexpr size_t kShortest = 60;                      // Without CRC.

std::string Hex(uint64_t value) {
  char text[32];
  snprintf(text, sizeof(text), "%#llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

E1000eModel::E1000eModel(bool msi_x, unsigned vectors)
    : pci_(kVendor, kDevice, {{0, kRegisterBytes}}), registers_(kRegisterBytes / 4) {
  pci_.SetModel(this);
  pci_.SetInterrupts(msi_x, vectors);
  Reset();
  // What an earlier driver left.
  Reg(kRctl) = kRctlEnable | kRctlUnicastPromiscuous;
  Reg(kTctl) = kTctlEnable;
  Reg(kIms) = kCauseLink;
}

Result<Nic*> E1000eModel::Open(const MacAddress& address, uint32_t mtu) {
  device_.kind = DeviceKind::kPci;
  device_.descriptor = -1;
  device_.mtu = mtu;
  device_.function = &pci_;
  std::copy(address.begin(), address.end(), device_.address);
  return E1000eNic::Create(device_);
}

void E1000eModel::Reset() {
  std::fill(registers_.begin(), registers_.end(), 0);
  Reg(kCtrl) = kCtrlReserved;
  Reg(kTarc0) = 3 | 1 << 10;
  Reg(kRal) = 0x12005452;
  Reg(kRah) = kRahValid | 0x5634;
  signalled_ = 0;
  gathering_.clear();
}

std::string E1000eModel::Complaints() const {
  std::string all;
  for (const std::string& complaint : complaints_) all += complaint + "; ";
  if (pci_.faults()) all += "DMA outside of what was allocated";
  return all;
}

bool E1000eModel::Quiet() const {
  return !(reg(kRctl) & kRctlEnable) && !(reg(kTctl) & kTctlEnable) && reg(kIms) == 0 && !pci_.bus_master() &&
         !pci_.interrupts_enabled() && pci_.dma_blocks() == 0;
}

// ---- Registers

uint32_t E1000eModel::Read(unsigned, uint64_t offset, unsigned width) {
  if (width != 4) Complain("access of " + std::to_string(width) + " bytes");
  const uint32_t at = static_cast<uint32_t>(offset);
  switch (at) {
    case kStatus: {
      const bool master = !(Reg(kCtrl) & kCtrlMasterDisable) || master_hangs_;
      return (link_up_ && (Reg(kCtrl) & kCtrlSetLinkUp) ? kStatusLinkUp : 0) |
             (master ? kStatusMasterEnable : 0);
    }
    case kEecd:
      return kEecdAutoReadDone;
    case kIcr: {
      const uint32_t causes = Reg(kIcr);
      Reg(kIcr) = 0;
      Signal();
      return causes;
    }
    default:
      return Reg(at);
  }
}

void E1000eModel::Write(unsigned, uint64_t offset, unsigned width, uint32_t value) {
  if (width != 4) Complain("access of " + std::to_string(width) + " bytes");
  const uint32_t at = static_cast<uint32_t>(offset);
  ++writes_[at];
  switch (at) {
    case kCtrl:
      if ((value & kCtrlReserved) != kCtrlReserved) Complain("reserved bits of CTRL cleared");
      if (value & kCtrlReset) {
        if (!(Reg(kCtrl) & kCtrlMasterDisable)) Complain("reset without master disable");
        Reset();
        if (reset_hangs_) Reg(kCtrl) |= kCtrlReset;
        return;
      }
      Reg(kCtrl) = value;
      return;
    case kIcr:
      Reg(kIcr) &= ~value;
      return Signal();
    case kIms:
      Reg(kIms) |= value;
      return Signal();
    case kImc:
      Reg(kIms) &= ~value;
      return Signal();
    case kTdt:
      if (value >= Reg(kTdlen) / kDescriptorBytes && value != 0) Complain("TDT beyond the ring");
      Reg(kTdt) = value;
      return Send();
    case kRctl:
      Reg(kRctl) = value;
      if ((value & kRctlEnable) && !(value & kRctlStripCrc)) Complain("CRC not stripped");
      return ReceiveWaiting();
    case kRdt:
      if (value >= Reg(kRdlen) / kDescriptorBytes) Complain("RDT beyond the ring");
      Reg(kRdt) = value;
      return ReceiveWaiting();
    default:
      Reg(at) = value;
  }
}

void E1000eModel::Cause(uint32_t causes) {
  Reg(kIcr) |= causes;
  Signal();
}

// A message for each cause that is newly set and enabled.
void E1000eModel::Signal() {
  const bool msi_x = pci_.msi_x_enabled();
  if (msi_x && (Reg(kIcr) & kCauseLink)) Reg(kIcr) |= kCauseOther;
  const uint32_t pending = Reg(kIcr) & Reg(kIms);
  signalled_ &= pending;
  const uint32_t fresh = pending & ~signalled_;
  signalled_ |= fresh;
  if (!fresh) return;
  if (!msi_x) return pci_.Fire(0);
  const struct {
    uint32_t cause, shift;
  } causes[] = {{kCauseReceiveQueue, kIvarReceiveShift},
                {kCauseSendQueue, kIvarSendShift},
                {kCauseOther, kIvarOtherShift}};
  for (const auto& [cause, shift] : causes) {
    const uint32_t entry = Reg(kIvar) >> shift & 15;
    if ((fresh & cause) && (entry & kIvarValid)) pci_.Fire(entry & 7);
  }
}

void E1000eModel::SetLink(bool up) {
  link_up_ = up;
  Cause(kCauseLink);
  if (up) Send();
}

// ---- Transmit

void E1000eModel::SetHold(bool hold) {
  hold_ = hold;
  Send();
}

void E1000eModel::Send() {
  if (hold_ || !link_up_ || pci_.withdrawn() || !(Reg(kTctl) & kTctlEnable)) return;
  const uint32_t count = Reg(kTdlen) / kDescriptorBytes;
  const bool any = Reg(kTdh) != Reg(kTdt);
  while (Reg(kTdh) != Reg(kTdt)) {
    SendDescriptor((uint64_t{Reg(kTdbah)} << 32 | Reg(kTdbal)) + Reg(kTdh) * kDescriptorBytes);
    Reg(kTdh) = (Reg(kTdh) + 1) % count;
  }
  if (any) Cause(pci_.msi_x_enabled() ? kCauseSendQueue : kCauseSent);
}

void E1000eModel::SendDescriptor(uint64_t at) {
  std::byte* memory = pci_.Dma(at, kDescriptorBytes);
  if (!memory) return;
  uint32_t word[4];
  std::memcpy(word, memory, sizeof(word));
  if (!(word[2] & kTxExtended)) return Complain("legacy transmit descriptor");
  if (!(word[2] & kTxTypeData)) {
    std::memcpy(context_.word, word, sizeof(word));
    return;
  }
  const uint32_t bytes = word[2] & 0xfffff;
  const uint64_t address = uint64_t{word[1]} << 32 | word[0];
  if (bytes == 0) Complain("empty data descriptor");
  if (gathering_.empty()) {
    first_command_ = word[2];
    first_options_ = word[3];
  }
  if (const std::byte* data = pci_.Dma(address, bytes))
    gathering_.insert(gathering_.end(), data, data + bytes);
  if (word[2] & kTxEnd) {
    if (!(word[2] & kTxInsertCrc)) Complain("frame without CRC");
    Emit(context_, std::exchange(gathering_, {}), first_command_, first_options_);
  }
  if (word[2] & kTxReport) {
    word[3] |= kTxDone;
    std::memcpy(memory + 12, &word[3], 4);
  }
}

void E1000eModel::Emit(const Context& context, Frame frame, uint32_t command, uint32_t options) {
  if (command & kTxSegment) return EmitSegments(context, frame, options);
  if (options & kTxInsertTcpChecksum) {
    const uint32_t start = context.word[1] & 0xff, field = context.word[1] >> 8 & 0xff;
    if (context.word[1] >> 16) Complain("TUCSE set");
    if (field + 2 > frame.size()) return Complain("checksum outside of the frame");
    const uint32_t sum = Sum(std::span(frame).subspan(start));
    Put16(frame, field, static_cast<uint16_t>(~sum));
  }
  if (options & kTxInsertIpChecksum) Complain("IP checksum without segmentation");
  if (frame.size() < kShortest) frame.resize(kShortest);
  sent_.push_back(std::move(frame));
}

// Section 7.3.6.
void E1000eModel::EmitSegments(const Context& context, const Frame& frame, uint32_t options) {
  const uint32_t ip = context.word[0] & 0xff, ip_sum = context.word[0] >> 8 & 0xff,
                 ip_end = context.word[0] >> 16;
  const uint32_t tcp = context.word[1] & 0xff, tcp_sum = context.word[1] >> 8 & 0xff;
  const uint32_t payload = context.word[2] & 0xfffff;
  const uint32_t header = context.word[3] >> 8 & 0xff, mss = context.word[3] >> 16;
  const bool ip4 = context.word[2] & kContextIp4;
  if (!(context.word[2] & kTxSegment) || !(context.word[2] & kContextTcp)) return Complain("no TSE context");
  if (header + payload != frame.size()) return Complain("PAYLEN " + Hex(payload));
  if (mss < kLeastSegment || header < tcp + 20) return Complain("MSS or HDRLEN");
  if (Get16(frame, ip4 ? ip + 2 : ip + 4) != 0) Complain("IP length not zero");
  if (ip4 && (Get16(frame, ip + 10) != 0 || !(options & kTxInsertIpChecksum) || ip_end != tcp - 1))
    Complain("IP checksum not prepared");
  if (!(options & kTxInsertTcpChecksum)) Complain("segments without TCP checksum");
  for (uint32_t done = 0, i = 0; done < payload; done += mss, ++i) {
    const uint32_t bytes = std::min(mss, payload - done);
    Frame segment(frame.begin(), frame.begin() + header);
    segment.insert(segment.end(), frame.begin() + header + done, frame.begin() + header + done + bytes);
    std::span<std::byte> all(segment);
    if (ip4) {
      Put16(all, ip + 2, bytes + header - ip);
      Put16(all, ip + 4, Get16(frame, ip + 4) + i);
      Put16(all, ip_sum, static_cast<uint16_t>(~Sum(all.subspan(ip, ip_end + 1 - ip))));
    } else {
      Put16(all, ip + 4, bytes + header - ip - 40);
    }
    Put32(all, tcp + 4, Get32(frame, tcp + 4) + done);
    if (done + bytes < payload) all[tcp + 13] &= std::byte{0xf6};  // FIN, PSH.
    Put16(all, tcp_sum, static_cast<uint16_t>(~Sum(all.subspan(tcp), bytes + header - tcp)));
    if (segment.size() < kShortest) segment.resize(kShortest);
    sent_.push_back(std::move(segment));
  }
}

// ---- Receive

void E1000eModel::Deliver(const Frame& frame) {
  Frame padded = frame;
  if (padded.size() < kShortest) padded.resize(kShortest);
  if (Passes(padded)) arriving_.push_back(std::move(padded));
  ReceiveWaiting();
}

bool E1000eModel::Passes(const Frame& frame) const {
  const uint32_t rctl = reg(kRctl);
  if (!(rctl & kRctlEnable) || !link_up_ || frame.size() > kLongestFrame) return false;
  if (frame.size() > 1518 && !(rctl & kRctlLongPackets)) return false;
  const MacAddress broadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  if (std::memcmp(frame.data(), broadcast.data(), 6) == 0) return rctl & kRctlBroadcast;
  if ((frame[0] & std::byte{1}) != std::byte{0}) return rctl & kRctlMulticastPromiscuous;
  if (rctl & kRctlUnicastPromiscuous) return true;
  const uint32_t low = reg(kRal), high = reg(kRah);
  return (high & kRahValid) && std::memcmp(frame.data(), &low, 4) == 0 &&
         std::memcmp(frame.data() + 4, &high, 2) == 0;
}

void E1000eModel::ReceiveWaiting() {
  bool any = false;
  while (!arriving_.empty() && (Reg(kRctl) & kRctlEnable) && !pci_.withdrawn() &&
         ReceiveOne(arriving_.front())) {
    arriving_.pop_front();
    any = true;
  }
  if (any) Cause(pci_.msi_x_enabled() ? kCauseReceiveQueue : kCauseReceived);
}

bool E1000eModel::ReceiveOne(const Frame& frame) {
  const uint32_t count = Reg(kRdlen) / kDescriptorBytes;
  if (count == 0) return false;
  const uint32_t free = (Reg(kRdt) + count - Reg(kRdh)) % count;
  if (free * kReceiveBufferBytes < frame.size()) return false;
  if (!(Reg(kRfctl) & kRfctlExtended)) Complain("legacy receive descriptors");
  for (size_t done = 0; done < frame.size();) {
    const size_t bytes = std::min<size_t>(kReceiveBufferBytes, frame.size() - done);
    std::byte* descriptor = pci_.Dma(
        (uint64_t{Reg(kRdbah)} << 32 | Reg(kRdbal)) + Reg(kRdh) * kDescriptorBytes, kDescriptorBytes);
    if (!descriptor) return true;
    uint64_t word[2];
    std::memcpy(word, descriptor, sizeof(word));
    if (word[1] != 0) Complain("receive descriptor not cleared");
    if (std::byte* buffer = pci_.Dma(word[0], kReceiveBufferBytes))
      std::memcpy(buffer, frame.data() + done, bytes);
    done += bytes;
    uint64_t status = kRxDone;
    if (done == frame.size() && !never_ends_) {
      status |= kRxEnd;
      const uint16_t type = Get16(frame, 12);
      if (type == 0x0800 || type == 0x86dd) {
        status |= kRxTcpChecked;
        if (!Wrong(frame).empty()) status |= uint64_t{0x20} << 24;
      }
      if (frame_error_) status |= uint64_t{1} << 24;
    }
    word[0] = 0xdead'beef'dead'beef;  // RSS hash and such.
    word[1] = status | uint64_t{bytes + length_error_} << kRxLengthShift;
    std::memcpy(descriptor, word, sizeof(word));
    Reg(kRdh) = (Reg(kRdh) + 1) % count;
  }
  return true;
}

}  // namespace librettos::fake
