// Start and end of a Xen domain (start.h).
#include <algorithm>
#include <array>

#include "guest/platform/xen/console_ring.h"
#include "guest/platform/xen/end.h"
#include "guest/platform/xen/entropy.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/shared_info.h"
#include "guest/platform/xen/start.h"
#include "guest/platform/xen/vcpu.h"
#include "guest/platform/xen/xen_platform.h"

namespace librettos::xen {
namespace {

constinit XenPlatform* platform = nullptr;

// Entries of the memory map in BIOS's form (ACPI 6.4, section 15.4).
struct [[gnu::packed]] MapEntry {
  uint64_t begin, size;
  uint32_t type;
};
constexpr uint32_t kUsable = 1;

size_t ReadMemoryMap(std::span<MemoryRange> out) {
  std::array<MapEntry, 64> entries;
  xen_memory_map_t map = {};
  map.nr_entries = entries.size();
  set_xen_guest_handle(map.buffer, entries.data());
  if (MemoryOp(XENMEM_memory_map, &map) != 0) return 0;
  size_t count = 0;
  for (const MapEntry& entry : std::span(entries).first(std::min<size_t>(map.nr_entries, entries.size()))) {
    if (entry.type == kUsable && count < out.size()) out[count++] = {entry.begin, entry.begin + entry.size};
  }
  return count;
}

void Shutdown(unsigned reason) {
  sched_shutdown_t shutdown = {.reason = reason};
  SchedOp(SCHEDOP_shutdown, &shutdown);
}

void End(EndReason end, int, std::string_view reason) {
  if (end == EndReason::kFinished) return Shutdown(SHUTDOWN_poweroff);
  if (platform) platform->xenbus().WriteLast("data/panic", reason.substr(0, XenRegistry::kMaxValueBytes));
  Shutdown(SHUTDOWN_crash);
}

}  // namespace

void InitHypervisor() {
  if (!InitHypercalls()) return;
  SetMemoryMapReader(&ReadMemoryMap);
  SetEnd(&End);
  InitCpuStarter();
}

int RunDomain() {
  if (!OnXen()) Panic("this image needs Xen");
  InitSharedInfo();
  InitConsoleRing();
  xen_domain_handle_t handle;
  if (VersionOp(XENVER_guest_handle, &handle) == 0) MixEntropy(std::as_bytes(std::span(handle)));
  platform = new XenPlatform;
  const int status = DomainMain(*platform);
  platform->PublishExit(status);
  return status;
}

}  // namespace librettos::xen
