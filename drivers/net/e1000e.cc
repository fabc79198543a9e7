#include "drivers/net/e1000e.h"

#include <new>

#include "drivers/net/e1000e_registers.h"
#include "drivers/net/pci_capability.h"

namespace librettos {

using namespace e1000e;  // NOLINT: the registers' names.

namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint32_t kMaxMtu = 9000;
constexpr uint32_t kMaxUnsplitMtu = 1500;
constexpr Nanoseconds kResetSettles = 1'000;     // 10.2.2.1: no register is touched before.
constexpr Nanoseconds kResetTime = 20'000'000;   // Ours, the datasheet gives none.
constexpr Nanoseconds kMasterTime = 80'000'000;  // 3.1.3.10 leaves it to the driver.
constexpr uint32_t kLinkInterval = 10'000'000 / kItrNanoseconds;
constexpr int kPolls = 1'000'000;  // Should the clock stand.

// Reads `offset` until `(value & mask) == wanted`. False: not within `time`, or the device is gone.
bool Await(PciFunction& function, uint32_t offset, uint32_t mask, uint32_t wanted, Nanoseconds time) {
  const Nanoseconds until = Now() + time;
  for (int i = 0; i < kPolls; ++i) {
    const uint32_t value = function.Read32(0, offset);
    if (value == kAllOnes) return false;
    if ((value & mask) == wanted) return true;
    if (Now() >= until) return false;
  }
  return false;
}

}  // namespace

bool E1000eNic::Drives(uint32_t vendor, uint32_t device) { return vendor == kVendor && device == kDevice; }

Result<Nic*> E1000eNic::Create(const Device& device) {
  if (device.kind != DeviceKind::kPci || !device.function || device.mtu > kMaxMtu)
    return Error::kInvalidArgument;
  auto* nic = new (std::nothrow) E1000eNic(device);
  if (!nic) return Error::kExhausted;
  const Status status = nic->Open(device);
  if (status.ok()) return static_cast<Nic*>(nic);
  delete nic;
  return status.error();
}

E1000eNic::E1000eNic(const Device& device) : PciNic(*device.function, device) {}

E1000eNic::~E1000eNic() {
  if (!opened_) return;
  for (unsigned vector = 0; vector < vectors_; ++vector) function_.SetInterruptHandler(vector, nullptr);
  if (vectors_) Drain();
  StopQueues();
  // The frame under way is finished and no other begun, so that nobody's memory is written later.
  Write(kCtrl, Read(kCtrl) | kCtrlMasterDisable);
  (void)Await(function_, kStatus, kStatusMasterEnable, 0, kMasterTime);
  (void)Reset();
  Write(kCtrlExt, Read(kCtrlExt) & ~kCtrlExtDriverLoaded);
  function_.SetBusMaster(false);
  function_.DisableInterrupts();
}

void E1000eNic::StopQueues() {
  Write(kImc, kAllOnes);
  Write(kRctl, 0);
  Write(kTctl, 0);
}

Status E1000eNic::Open(const Device& device) {
  Result<uint64_t> size = function_.OpenBar(0);
  if (!size.ok()) return size.error();
  if (*size < kRegisterBytes) return Error::kIo;
  if (Read(kStatus) == kAllOnes) return Error::kUnavailable;
  opened_ = true;
  pci::DisableLinkPowerManagement(function_);  // Specification update: else the device can hang.
  Status status = transmit_.Allocate(function_);
  if (status.ok()) status = receive_.Allocate(function_);
  if (!status.ok()) return status;
  // Whoever had it before may have left it running.
  StopQueues();
  Write(kCtrl, Read(kCtrl) | kCtrlMasterDisable);
  (void)Await(function_, kStatus, kStatusMasterEnable, 0, kMasterTime);  // The reset ends it anyway.
  status = Reset();
  if (!status.ok()) return status;
  Result<unsigned> vectors = function_.EnableInterrupts(2);
  if (!vectors.ok()) return vectors.error();
  vectors_ = *vectors;
  msi_x_ = pci::MsiXEnabled(function_);
  function_.SetInterruptHandler(0, queue_handler());
  if (vectors_ > 1) function_.SetInterruptHandler(1, link_handler());

  Write(kCtrl, (Read(kCtrl) | kCtrlSetLinkUp) & ~(kCtrlMasterDisable | kCtrlForceSpeed | kCtrlForceDuplex |
                                                  kCtrlFlowControl | kCtrlVlanMode));
  Write(kGcr, Read(kGcr) | kGcrMustBeOne);
  Write(kGcr2, Read(kGcr2) | kGcr2MustBeOne);
  SetStation(device);
  function_.SetBusMaster(true);
  // Written even where a reset gives the same: not every model of the device resets all of it.
  Write(kMrqc, 0);
  Write(kRxcsum, kRxcsumIp | kRxcsumTcpUdp);
  Write(kRfctl, kRfctlExtended | kRfctlNoAck | kRfctlNoNfs);
  transmit_.Start(function_);
  receive_.Start(function_);
  SetPromiscuous(false);
  EnableInterrupts();
  UpdateLink();
  return {};
}

// 4.6.1. Some bits of CTRL are reserved and one, so it is read and changed.
Status E1000eNic::Reset() {
  const uint32_t ctrl = Read(kCtrl);
  if (ctrl == kAllOnes) return Error::kUnavailable;
  Write(kCtrl, ctrl | kCtrlReset);
  const Nanoseconds settled = Now() + kResetSettles;
  for (int i = 0; i < kPolls && Now() < settled; ++i) continue;
  if (!Await(function_, kCtrl, kCtrlReset, 0, kResetTime)) return Error::kIo;
  // Without EEPROM it is never done, and the addresses are ours to set.
  (void)Await(function_, kEecd, kEecdAutoReadDone, kEecdAutoReadDone, kResetTime);
  Write(kImc, kAllOnes);
  (void)Read(kIcr);
  return {};
}

void E1000eNic::SetStation(const Device& device) {
  MacAddress station;
  for (size_t i = 0; i < station.size(); ++i) station[i] = device.address[i];
  if (station == MacAddress{}) {
    const uint32_t low = Read(kRal), high = Read(kRah);
    for (size_t i = 0; i < 4; ++i) station[i] = static_cast<uint8_t>(low >> 8 * i);
    for (size_t i = 0; i < 2; ++i) station[4 + i] = static_cast<uint8_t>(high >> 8 * i);
  }
  SetAddress(station);
  uint32_t low = 0, high = kRahValid;
  for (size_t i = 0; i < 4; ++i) low |= static_cast<uint32_t>(station[i]) << 8 * i;
  for (size_t i = 0; i < 2; ++i) high |= static_cast<uint32_t>(station[4 + i]) << 8 * i;
  Write(kRal, low);
  Write(kRah, high);
  for (uint32_t i = 1; i < kAddresses; ++i) Write(kRah + 8 * i, 0);
  for (uint32_t i = 0; i < kMtaWords; ++i) Write(kMta + 4 * i, 0);
}

void E1000eNic::EnableInterrupts() {
  const uint32_t other = vectors_ > 1 ? 1 : 0;
  uint32_t extension = Read(kCtrlExt) & ~(kCtrlExtAutoMask | kCtrlExtPbaClear);
  if (msi_x_) extension |= kCtrlExtPbaClear;
  Write(kCtrlExt, extension | kCtrlExtDriverLoaded);
  Write(kIam, 0);
  Write(kEiac, 0);
  Write(kItr, 0);
  Write(kEitr, 0);
  Write(kEitr + 4, kLinkInterval);
  if (msi_x_) {
    Write(kIvar, kIvarValid << kIvarReceiveShift | kIvarValid << kIvarSendShift |
                     (kIvarValid | other) << kIvarOtherShift);
    Write(kIms, kCauseLink | kCauseOther);
  } else {
    Write(kIms, kCauseLink);
  }
}

void E1000eNic::SetPromiscuous(bool on) {
  if (gone()) return;
  Write(kRctl, kRctlEnable | kRctlMulticastPromiscuous | kRctlBroadcast | kRctlStripCrc |
                   (on ? kRctlUnicastPromiscuous : 0) | (mtu() > kMaxUnsplitMtu ? kRctlLongPackets : 0));
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
