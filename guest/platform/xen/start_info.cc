#include "guest/platform/xen/start_info.h"

#include <cstring>

#include "guest/platform/xen/start.h"

namespace librettos::xen {
namespace {

constexpr uint32_t kMagic = 0x336ec578;
constexpr uint32_t kTypeRam = 1;
constexpr uint64_t kReach = uint64_t{4} << 30;

struct HvmStartInfo {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, command_line, rsdp;
  uint64_t memory_map;  // From here on since version 1.
  uint32_t memory_map_entries, reserved;
};

struct MapEntry {
  uint64_t address, size;
  uint32_t type, reserved;
};

constinit StartInfo start_info;

// nullptr if [address, address + bytes) is not wholly mapped by the boot tables, or nothing is told (0).
const void* Reach(PhysicalAddress address, uint64_t bytes) {
  if (address == 0 || bytes > kReach || address > kReach - bytes) return nullptr;
  return DirectAddress(address);
}

void ReadMemoryMap(const HvmStartInfo& told) {
  const auto* entries = static_cast<const MapEntry*>(
      Reach(told.memory_map, uint64_t{told.memory_map_entries} * sizeof(MapEntry)));
  if (!entries) return;
  for (uint32_t i = 0; i < told.memory_map_entries && start_info.ram_count < start_info.ram.size(); ++i) {
    const MapEntry& entry = entries[i];
    if (entry.type != kTypeRam || entry.size == 0 || entry.address + entry.size < entry.address) continue;
    start_info.ram[start_info.ram_count++] = {entry.address, entry.address + entry.size};
  }
}

}  // namespace

void ReadStartInfo(PhysicalAddress address) {
  const void* at = Reach(address, sizeof(HvmStartInfo));
  if (!at) return;
  HvmStartInfo told;
  memcpy(&told, at, sizeof told);
  if (told.magic != kMagic) return;
  if (const void* line = Reach(told.command_line, start_info.command_line.size())) {
    const size_t length = strnlen(static_cast<const char*>(line), start_info.command_line.size() - 1);
    memcpy(start_info.command_line.data(), line, length);
  }
  if (told.version >= 1) ReadMemoryMap(told);
}

const StartInfo& GetStartInfo() { return start_info; }

std::string_view CommandLine() { return start_info.command_line.data(); }

bool CommandLineHas(std::string_view word) {
  for (std::string_view rest = CommandLine(); !rest.empty();) {
    const size_t end = rest.find(' ');
    if (rest.substr(0, end) == word) return true;
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace librettos::xen
