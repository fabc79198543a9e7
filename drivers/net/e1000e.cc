#include "drivers/net/e1000e.h"

#include "drivers/net/e1000e_registers.h"

namespace librettos {

using namespace e1000e;  // NOLINT: the registers' names.

namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint32_t kMaxUnsplitMtu = 1500;

// 10.2.5.21, RCTL.MO is 0: the hash is bits 47 to 36 of the address, its last byte first.
uint32_t MtaBit(const MacAddress& group) { return uint32_t{group[5]} << 4 | group[4] >> 4; }

}  // namespace

bool E1000eNic::Drives(uint32_t vendor, uint32_t device) { return vendor == kVendor && device == kDevice; }

// ---- Addresses

void E1000eNic::SetStation() {
  MacAddress station = address();
  if (station == MacAddress{}) {
    const uint32_t low = Read(kRal), high = Read(kRah);
    for (size_t i = 0; i < 4; ++i) station[i] = static_cast<uint8_t>(low >> 8 * i);
    for (size_t i = 0; i < 2; ++i) station[4 + i] = static_cast<uint8_t>(high >> 8 * i);
    SetAddress(station);
  }
  SetAddressFilter(0, &station);
}

void E1000eNic::SetAddressFilter(uint32_t index, const MacAddress* mac) {
  // Not valid while it is half written.
  Write(kRah + 8 * index, 0);
  if (!mac) return;
  uint32_t low = 0, high = kRahValid;
  for (size_t i = 0; i < 4; ++i) low |= static_cast<uint32_t>((*mac)[i]) << 8 * i;
  for (size_t i = 0; i < 2; ++i) high |= static_cast<uint32_t>((*mac)[4 + i]) << 8 * i;
  Write(kRal + 8 * index, low);
  Write(kRah + 8 * index, high);
}

void E1000eNic::SetGroups(std::span<const MacAddress> groups) {
  if (gone()) return;
  uint32_t table[kMtaWords] = {};
  for (size_t i = kAddresses - 1; i < groups.size(); ++i) {
    const uint32_t bit = MtaBit(groups[i]);
    table[bit / 32] |= 1u << bit % 32;
  }
  for (uint32_t i = 0; i < kMtaWords; ++i) Write(kMta + 4 * i, table[i]);
  for (uint32_t i = 1; i < kAddresses; ++i)
    SetAddressFilter(i, i - 1 < groups.size() ? &groups[i - 1] : nullptr);
}

void E1000eNic::SetPromiscuous(bool on) {
  if (gone()) return;
  Write(kRctl, kRctlEnable | kRctlBroadcast | kRctlStripCrc |
                   (on ? kRctlUnicastPromiscuous | kRctlMulticastPromiscuous : 0) |
                   (mtu() > kMaxUnsplitMtu ? kRctlLongPackets : 0));
}

PciNic::Link E1000eNic::ReadLink() {
  const uint32_t status = Read(kStatus);
  return status == kAllOnes ? Link::kGone : status & kStatusLinkUp ? Link::kUp : Link::kDown;
}

PciNic::Sent E1000eNic::Put(const OutFrame& frame) {
  switch (transmit_.Put(frame, mtu())) {
    case TransmitRing::Sent::kTaken:
      return Sent::kTaken;
    case TransmitRing::Sent::kRefused:
      return Sent::kRefused;
    case TransmitRing::Sent::kFull:
      break;
  }
  return Sent::kFull;
}

PciNic::Got E1000eNic::Take(InFrame& frame) {
  switch (receive_.Take(frame)) {
    case ReceiveRing::Got::kFrame:
      return Got::kFrame;
    case ReceiveRing::Got::kBad:
      return Got::kBad;
    case ReceiveRing::Got::kNothing:
      break;
  }
  return Got::kNothing;
}

// ---- Interrupts

void E1000eNic::Arm(bool room) {
  const uint32_t received = msi_x_ ? kCauseReceiveQueue : kCauseReceived;
  const uint32_t sent = msi_x_ ? kCauseSendQueue : kCauseSent;
  Write(kIcr, received | sent);  // Of what was polled: no reason to wake up for.
  Write(kIms, room ? received | sent : received);
}

void E1000eNic::Disarm() {
  Write(kImc, msi_x_ ? kCauseReceiveQueue | kCauseSendQueue : kCauseReceived | kCauseSent);
}

void E1000eNic::OnInterrupt(bool armed) {
  if (!msi_x_ || vectors_ == 1) {
    const uint32_t causes = Read(kIcr);
    if (causes & (kCauseLink | kCauseOther)) OnLink();
  }
  if (!armed) return;  // Polled.
  const uint64_t moved = counters().rx_frames + counters().tx_frames;
  if (moderation_.OnInterrupt(moved - moved_))
    Write(msi_x_ ? kEitr : kItr, moderation_.interval() / kItrNanoseconds);
  moved_ = moved;
}

void E1000eNic::OnLink() {
  // Other causes, not of interest, come with it and are cleared by it.
  Write(kIcr, kCauseLink | kCauseOther);
  UpdateLink();
}

}  // namespace librettos
