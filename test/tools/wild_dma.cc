#include "test/tools/wild_dma.h"

#include "drivers/net/e1000e_registers.h"

namespace librettos::test {
namespace {

using namespace e1000e;  // NOLINT: registers.

constexpr uint64_t kNobodys = 0x3f'0000'0000;  // Above what a domain of the lab, or its host, has.
constexpr uint32_t kRingBytes = 4096;          // 256 descriptors.

}  // namespace

void WildDma::OnDevice(const Device& device) {
  if (!device.function) return Log("hostile: not a PCI function");
  if (!device.function->OpenBar(0).ok()) return Log("hostile: no registers");
  function_ = device.function;
  function_->SetBusMaster(true);
  function_->Write32(0, kRdbal, static_cast<uint32_t>(kNobodys));
  function_->Write32(0, kRdbah, static_cast<uint32_t>(kNobodys >> 32));
  function_->Write32(0, kRdlen, kRingBytes);
  function_->Write32(0, kRdh, 0);
  function_->Write32(0, kRctl,
                     kRctlEnable | kRctlUnicastPromiscuous | kRctlMulticastPromiscuous | kRctlBroadcast);
  function_->Write32(0, kCtrl, function_->Read32(0, kCtrl) | kCtrlSetLinkUp);
  Log("hostile: runs wild");
}

void WildDma::Round() {
  if (function_) function_->Write32(0, kRdt, ++next_ % (kRingBytes / 16));
}

}  // namespace librettos::test
