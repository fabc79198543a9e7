// How an 82574L is opened, and made quiet at the end.
#include <new>
#include <utility>

#include "drivers/net/e1000e.h"
#include "drivers/net/e1000e_registers.h"
#include "drivers/net/pci_capability.h"

namespace librettos {

using namespace e1000e;  // NOLINT: the registers' names.

namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint32_t kMaxMtu = 9000;
constexpr Nanoseconds kResetSettles = 1'000;     // 10.2.2.1: no register is touched before.
constexpr Nanoseconds kResetTime = 20'000'000;   // Ours, the datasheet gives none.
constexpr Nanoseconds kMasterTime = 80'000'000;  // 3.1.3.10 leaves it to the driver.
constexpr uint32_t kLinkInterval = 10'000'000 / kItrNanoseconds;
constexpr int kPolls = 1'000'000;  // Should the clock stand.

}  // namespace

Result<NicOpening*> E1000eNic::Open(const Device& device) {
  if (device.kind != DeviceKind::kPci || !device.function || device.mtu > kMaxMtu)
    return Error::kInvalidArgument;
  return PciOpening::Begin(new (std::nothrow) E1000eNic(device));
}

E1000eNic::E1000eNic(const Device& device) : PciNic(*device.function, device) {}

E1000eNic::~E1000eNic() { Close(); }

bool E1000eNic::StopStep() {
  if (!opened_) return true;
  if (!std::exchange(stopping_, true)) reset_ = Reset::kQueues;
  const Result<bool> reset = ResetStep();
  if (reset.ok() && !reset.value()) return false;
  Write(kCtrlExt, Read(kCtrlExt) & ~kCtrlExtDriverLoaded);
  return true;
}

void E1000eNic::StopQueues() {
  Write(kImc, kAllOnes);
  Write(kRctl, 0);
  Write(kTctl, 0);
}

void E1000eNic::DisableMaster() { Write(kCtrl, Read(kCtrl) | kCtrlMasterDisable); }

// ---- Opening

Result<bool> E1000eNic::PrepareStep() {
  Status status;
  switch (stage_) {
    case Stage::kRegisters:
      status = OpenRegisters();
      stage_ = Stage::kLink;
      break;
    case Stage::kLink:
      pci::DisableLinkPowerManagement(function_);  // Specification update: else the device can hang.
      stage_ = Stage::kMemory;
      break;
    case Stage::kMemory:
      status = AllocateMemory();
      stage_ = Stage::kReset;
      break;
    case Stage::kReset:  // Whoever had it before may have left it running.
      return ResetStep();
  }
  if (!status.ok()) return status.error();
  return false;
}

void E1000eNic::Await(Reset what, Nanoseconds time) {
  reset_ = what;
  deadline_ = Now() + time;
}

Result<bool> E1000eNic::ResetStep() {
  const uint32_t status = Read(kStatus);
  if (status == kAllOnes) return Error::kUnavailable;
  const bool late = Now() >= deadline_;
  switch (reset_) {
    case Reset::kQueues:
      StopQueues();
      // The frame under way is finished and no other begun, so that nobody's memory is written later.
      DisableMaster();
      Await(Reset::kMaster, kMasterTime);
      break;
    case Reset::kMaster:
      // If it never ends, the reset ends it.
      if ((status & kStatusMasterEnable) && !late) break;
      if (const Status begun = BeginReset(); !begun.ok()) return begun.error();
      Await(Reset::kDevice, kResetTime);
      break;
    case Reset::kDevice:
      if (!(Read(kCtrl) & kCtrlReset)) {
        Await(Reset::kEeprom, kResetTime);
      } else if (late) {
        return Error::kIo;
      }
      break;
    case Reset::kEeprom:
      // Without EEPROM it is never done, and the addresses are ours to set.
      if (!(Read(kEecd) & kEecdAutoReadDone) && !late) break;
      Write(kImc, kAllOnes);
      (void)Read(kIcr);
      return true;
  }
  return false;
}

Status E1000eNic::OpenRegisters() {
  Result<uint64_t> size = function_.OpenBar(0);
  if (!size.ok()) return size.error();
  if (*size < kRegisterBytes) return Error::kIo;
  if (Read(kStatus) == kAllOnes) return Error::kUnavailable;
  opened_ = true;
  return {};
}

Status E1000eNic::AllocateMemory() {
  Status status = transmit_.Allocate(function_);
  if (status.ok()) status = receive_.Allocate(function_);
  return status;
}

// 4.6.1. Some bits of CTRL are reserved and one, so it is read and changed.
Status E1000eNic::BeginReset() {
  const uint32_t ctrl = Read(kCtrl);
  if (ctrl == kAllOnes) return Error::kUnavailable;
  Write(kCtrl, ctrl | kCtrlReset);
  const Nanoseconds settled = Now() + kResetSettles;
  for (int i = 0; i < kPolls && Now() < settled; ++i) continue;
  return {};
}

Status E1000eNic::AllocateInterrupts() {
  Result<unsigned> vectors = function_.EnableInterrupts(2);
  if (!vectors.ok()) return vectors.error();
  vectors_ = *vectors;
  msi_x_ = pci::MsiXEnabled(function_);
  function_.SetInterruptHandler(0, queue_handler());
  if (vectors_ > 1) function_.SetInterruptHandler(1, link_handler());
  return {};
}

Status E1000eNic::Start() {
  Write(kCtrl, (Read(kCtrl) | kCtrlSetLinkUp) & ~(kCtrlMasterDisable | kCtrlForceSpeed | kCtrlForceDuplex |
                                                  kCtrlFlowControl | kCtrlVlanMode));
  Write(kGcr, Read(kGcr) | kGcrMustBeOne);
  Write(kGcr2, Read(kGcr2) | kGcr2MustBeOne);
  SetStation();
  SetGroups({});
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
  return gone() ? Status(Error::kUnavailable) : Status();
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

}  // namespace librettos
