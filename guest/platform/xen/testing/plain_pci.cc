#include "guest/platform/xen/testing/plain_pci.h"

#include <new>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {
namespace {

// PCI Local Bus 3.0, sections 3.2.2.3.2 and 6.2.
constexpr uint16_t kAddressPort = 0xcf8, kDataPort = 0xcfc;
constexpr uint32_t kCommand = 4, kMemorySpace = 2, kBusMaster = 4;
constexpr uint32_t kFirstBar = 0x10, kIoBar = 1, kBarType = 6, kBar64 = 4;

class Pages final : public DmaMemory {
 public:
  Pages(void* begin, size_t pages) : begin_(static_cast<std::byte*>(begin)), pages_(pages) {}
  std::span<std::byte> bytes() override { return {begin_, pages_ * kPageSize}; }
  uint64_t bus_address() const override { return PhysicalOf(begin_); }
  void Release() override {
    FreePages(begin_, pages_);
    delete this;
  }

 private:
  std::byte* begin_;
  size_t pages_;
};

}  // namespace

uint32_t PlainPci::ReadConfig(uint32_t offset, unsigned width) {
  Out32(kAddressPort, 0x80000000 | slot_ << 11 | (offset & 0xfc));
  const uint16_t port = static_cast<uint16_t>(kDataPort + (offset & 3));
  return width == 1 ? In8(port) : width == 2 ? In16(port) : In32(port);
}

void PlainPci::WriteConfig(uint32_t offset, unsigned width, uint32_t value) {
  Out32(kAddressPort, 0x80000000 | slot_ << 11 | (offset & 0xfc));
  const uint16_t port = static_cast<uint16_t>(kDataPort + (offset & 3));
  if (width == 1) return Out8(port, static_cast<uint8_t>(value));
  if (width == 2) return Out16(port, static_cast<uint16_t>(value));
  Out32(port, value);
}

Result<uint64_t> PlainPci::OpenBar(unsigned bar) {
  if (bar >= bars_.size()) return Error::kNotFound;
  if (bars_[bar].bytes) return bars_[bar].bytes;
  const uint32_t at = kFirstBar + 4 * bar;
  const uint32_t low = ReadConfig(at, 4);
  WriteConfig(at, 4, ~0u);
  const uint32_t mask = ReadConfig(at, 4) & ~15u;
  WriteConfig(at, 4, low);
  if (mask == 0 || (low & kIoBar)) return Error::kNotFound;
  const uint64_t high = (low & kBarType) == kBar64 ? ReadConfig(at + 4, 4) : 0;
  const uint64_t bytes = -static_cast<uint64_t>(mask | ~uint64_t{0xffffffff});
  WriteConfig(kCommand, 2, ReadConfig(kCommand, 2) | kMemorySpace);
  volatile void* registers = MapDevice((low & ~15u) | high << 32, bytes);
  if (!registers) return Error::kExhausted;
  bars_[bar] = {static_cast<volatile std::byte*>(registers), bytes};
  return bytes;
}

void PlainPci::SetBusMaster(bool on) {
  const uint32_t command = ReadConfig(kCommand, 2);
  WriteConfig(kCommand, 2, on ? command | kBusMaster : command & ~kBusMaster);
}

Result<DmaMemory*> PlainPci::AllocateDma(size_t bytes) {
  const size_t pages = (bytes + kPageSize - 1) / kPageSize;
  void* begin = AllocatePages(pages);
  if (!begin) return Error::kExhausted;
  auto* memory = new (std::nothrow) Pages(begin, pages);
  if (memory) return static_cast<DmaMemory*>(memory);
  FreePages(begin, pages);
  return Error::kExhausted;
}

}  // namespace librettos::xen
