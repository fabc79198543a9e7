// An image that sends back what its NIC receives, MAC addresses exchanged: the NIC drivers on bare metal.
//
// What it says itself has EtherType 0x88b7: a frame once the NIC is open. One of 0x88b6 ends that: the NIC is
// closed, and opened again once more.
#include <string.h>

#include <array>
#include <memory>

#include "drivers/net/e1000e.h"
#include "drivers/net/virtio.h"
#include "guest/platform/platform.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/start.h"
#include "guest/platform/xen/testing/plain_pci.h"

namespace librettos::xen {
namespace {

constexpr unsigned kSlots = 32;
constexpr uint32_t kMtu = 9000;
constexpr int kRounds = 2;
constexpr uint16_t kEnd = 0xb688, kHello = 0xb788;  // As they lie in memory.
constexpr size_t kBatch = 16;

std::array<std::array<std::byte, kMaxFrameBytes + 1>, kBatch> buffers;

uint16_t TypeOf(const std::byte* frame) {
  uint16_t type;
  memcpy(&type, frame + 12, sizeof(type));
  return type;
}

bool SendAll(Nic& nic, std::span<const OutFrame> frames) {
  const Nanoseconds until = Now() + 10'000'000'000;
  while (!frames.empty() && Now() < until) frames = frames.subspan(nic.Transmit(frames));
  return frames.empty();
}

bool Hello(Nic& nic) {
  std::byte frame[60] = {};
  memset(frame, 0xff, 6);
  memcpy(frame + 6, nic.address().data(), 6);
  memcpy(frame + 12, &kHello, sizeof(kHello));
  const Part part{frame, sizeof(frame)};
  const OutFrame out{{&part, 1}, sizeof(frame), {}};
  return SendAll(nic, {&out, 1});
}

// True: told to end.
bool Echo(Nic& nic) {
  std::array<InFrame, kBatch> in;
  std::array<Part, kBatch> parts;
  std::array<OutFrame, kBatch> out;
  for (size_t i = 0; i < kBatch; ++i) in[i].buffer = buffers[i];
  const size_t got = nic.Receive(in);
  for (size_t i = 0; i < got; ++i) {
    std::byte* frame = buffers[i].data();
    if (TypeOf(frame) == kEnd) return true;
    std::byte sender[6];
    memcpy(sender, frame + 6, sizeof(sender));
    memcpy(frame + 6, frame, sizeof(sender));
    memcpy(frame, sender, sizeof(sender));
    parts[i] = {frame, in[i].length};
    out[i] = {{&parts[i], 1}, in[i].length, {}};
  }
  if (!SendAll(nic, {out.data(), got})) Panic("the NIC sends nothing");
  return false;
}

Result<Nic*> Open(const Device& device) {
  const uint32_t vendor = device.function->ReadConfig(0, 2), id = device.function->ReadConfig(2, 2);
  return E1000eNic::Drives(vendor, id) ? E1000eNic::Create(device) : VirtioNic::Create(device);
}

int Serve(const Device& device) {
  const size_t free_pages = FreePageCount();
  for (int round = 0; round < kRounds; ++round) {
    Result<Nic*> opened = Open(device);
    if (!opened.ok()) {
      Log(ToString(opened.error()));
      return 1;
    }
    std::unique_ptr<Nic> nic(*opened);
    if (!Hello(*nic)) return 2;
    while (!Echo(*nic)) continue;
  }
  // The heap may keep a page or two.
  return FreePageCount() + 16 < free_pages ? 3 : 0;
}

}  // namespace

void InitHypervisor() {}

int RunDomain() {
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    PlainPci function(slot);
    const uint32_t vendor = function.ReadConfig(0, 2), id = function.ReadConfig(2, 2);
    if (!E1000eNic::Drives(vendor, id) && !VirtioNic::Drives(vendor, id)) continue;
    Device device = {};
    device.kind = DeviceKind::kPci;
    device.descriptor = -1;
    device.mtu = kMtu;
    device.function = &function;
    return Serve(device);
  }
  Log("no NIC");
  return 4;
}

}  // namespace librettos::xen
