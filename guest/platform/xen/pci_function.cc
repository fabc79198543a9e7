#include "guest/platform/xen/pci_function.h"

#include <algorithm>
#include <new>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/memory.h"

namespace librettos::xen {
namespace {

constexpr uint16_t kAddressPort = 0xcf8, kDataPort = 0xcfc;
constexpr uint32_t kCommand = 0x04, kCommandMemory = 1u << 1, kStatus = 0x06, kCapabilities = 0x34;
constexpr uint16_t kHasCapabilities = 1u << 4;
constexpr uint64_t kMaxBarBytes = uint64_t{64} << 20;

// PCI Local Bus 3.0, sections 6.8.1 (MSI) and 6.8.2 (MSI-X).
constexpr uint8_t kMsi = 0x05, kMsix = 0x11;
constexpr uint32_t kControl = 2, kMsiAddress = 4;
constexpr uint16_t kMsiEnable = 1u << 0, kMsiCountMask = 7u << 4, kMsi64 = 1u << 7;
constexpr uint16_t kMsixEnable = 1u << 15, kMsixMaskAll = 1u << 14, kMsixSizeMask = 0x7ff;
constexpr uint32_t kMsixTable = 4, kMsixEntryBytes = 16;

// The message by which Xen knows an interrupt's number (Linux's arch/x86/pci/xen.c): where a destination
// would stand are its low 8 bits, and in the upper word the others; delivery mode 3, vector 0.
struct Message {
  explicit Message(uint32_t pirq) : low(0xfee00000 | (pirq & 0xff) << 12), high(pirq & ~0xffu) {}
  uint32_t low, high;
  uint32_t data = 1u << 14 | 3u << 8;
};

class XenDmaMemory final : public DmaMemory {
 public:
  explicit XenDmaMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes() override { return bytes_; }
  // The IOMMU translates as the domain's own address space does.
  uint64_t bus_address() const override { return PhysicalOf(bytes_.data()); }
  void Release() override {
    FreePages(bytes_.data(), bytes_.size() / kPageSize);
    delete this;
  }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace

// ---- Configuration space ---------------------------------------------------------------------------------
bool PortConfigSpace::Select(uint32_t offset, unsigned width) {
  if (offset >= 256 || (width != 1 && width != 2 && width != 4) || offset % width != 0) return false;
  Out32(kAddressPort, uint32_t{1} << 31 | slot_ << 11 | (offset & 0xfc));
  return true;
}

uint32_t PortConfigSpace::Read(uint32_t offset, unsigned width) {
  if (!Select(offset, width)) return ~0u;
  const uint16_t port = static_cast<uint16_t>(kDataPort + offset % 4);
  return width == 1 ? In8(port) : width == 2 ? In16(port) : In32(port);
}

void PortConfigSpace::Write(uint32_t offset, unsigned width, uint32_t value) {
  if (!Select(offset, width)) return;
  const uint16_t port = static_cast<uint16_t>(kDataPort + offset % 4);
  if (width == 1) {
    Out8(port, static_cast<uint8_t>(value));
  } else if (width == 2) {
    Out16(port, static_cast<uint16_t>(value));
  } else {
    Out32(port, value);
  }
}

void XenPciFunction::SetCommand(uint32_t bits, bool on) {
  const uint32_t command = config_.Read(kCommand, 2);
  config_.Write(kCommand, 2, on ? command | bits : command & ~bits);
}

XenPciFunction::~XenPciFunction() {
  // What a driver has done already is not done again: the device model answers each access.
  if (enabled_at_ != 0) {
    SetCommand(kBusMaster, false);
    DisableInterrupts();
  }
  SetCommand(kBusMaster | kCommandMemory, false);
  for (const Bar& bar : bars_) {
    if (!bar.registers) continue;
    UnmapDevice(bar.registers, bar.size);
    window_.Free(bar.address);
  }
}

uint32_t XenPciFunction::FindCapability(uint8_t id) {
  if (!(config_.Read(kStatus, 2) & kHasCapabilities)) return 0;
  uint32_t at = config_.Read(kCapabilities, 1) & 0xfc;
  // A chain longer than the space goes in a circle.
  for (int steps = 0; at >= 0x40 && steps < 48; ++steps) {
    if (config_.Read(at, 1) == id) return at;
    at = config_.Read(at + 1, 1) & 0xfc;
  }
  return 0;
}

// ---- Registers -------------------------------------------------------------------------------------------
Result<uint64_t> XenPciFunction::OpenBar(unsigned bar) {
  if (bar >= kBars) return Error::kNotFound;
  if (bars_[bar].registers) return bars_[bar].size;
  // Off once for sizing and placing: with each change of it the device model maps all BARs or unmaps them.
  const bool decoding = config_.Read(kCommand, 2) & kCommandMemory;
  if (decoding) SetCommand(kCommandMemory, false);
  const auto opened = SizeAndPlace(bar);
  if (!opened.ok() && decoding) SetCommand(kCommandMemory, true);
  return opened;
}

Result<uint64_t> XenPciFunction::SizeAndPlace(unsigned bar) {
  const auto size = BarSize(config_, bar);
  if (!size.ok()) return size.error();
  if (size.value() > kMaxBarBytes) return Error::kExhausted;
  auto address = window_.Take(size.value());
  if (!address.ok()) return address.error();
  auto* registers = static_cast<volatile std::byte*>(MapDevice(*address, size.value()));
  if (!registers) {
    window_.Free(*address);
    return Error::kExhausted;
  }
  PlaceBar(config_, bar, *address);
  bars_[bar] = {registers, size.value(), *address};
  return size.value();
}

template <class Word>
Word XenPciFunction::Load(unsigned bar, uint64_t offset) {
  if (bar >= kBars || offset % sizeof(Word) != 0 || offset >= bars_[bar].size) return static_cast<Word>(~0u);
  return *reinterpret_cast<const volatile Word*>(bars_[bar].registers + offset);
}

template <class Word>
void XenPciFunction::Store(unsigned bar, uint64_t offset, Word value) {
  if (bar >= kBars || offset % sizeof(Word) != 0 || offset >= bars_[bar].size) return;
  *reinterpret_cast<volatile Word*>(bars_[bar].registers + offset) = value;
}

Result<DmaMemory*> XenPciFunction::AllocateDma(size_t bytes) {
  if (bytes == 0) return Error::kInvalidArgument;
  const size_t pages = (bytes + kPageSize - 1) / kPageSize;
  auto* memory = static_cast<std::byte*>(AllocatePages(pages));
  if (!memory) return Error::kExhausted;
  return static_cast<DmaMemory*>(new XenDmaMemory({memory, pages * kPageSize}));
}

// ---- Interrupts ------------------------------------------------------------------------------------------
void XenPciFunction::Vector::OnEvent() {
  // Before the handler looks at the device: what it raises from then on comes anew.
  if (acknowledge) {
    physdev_eoi_t eoi = {.irq = pirq};
    PhysdevOp(PHYSDEVOP_eoi, &eoi);
  }
  if (handler) handler->OnEvent();
}

bool XenPciFunction::AddVector() {
  physdev_get_free_pirq_t free = {};
  free.type = MAP_PIRQ_TYPE_MSI;
  if (PhysdevOp(PHYSDEVOP_get_free_pirq, &free) != 0) return false;
  vectors_[vector_count_] = {};
  vectors_[vector_count_++].pirq = free.pirq;
  return true;
}

Result<unsigned> XenPciFunction::EnableInterrupts(unsigned wanted) {
  if (enabled_at_ != 0 || wanted == 0) return Error::kInvalidArgument;
  Result<unsigned> enabled = Error::kUnsupported;
  if (const uint32_t msix = FindCapability(kMsix)) enabled = EnableMsix(msix, wanted);
  if (!enabled.ok()) {
    if (const uint32_t msi = FindCapability(kMsi)) enabled = EnableMsi(msi);
  }
  if (!enabled.ok()) return enabled;
  if (const Status bound = BindVectors(); !bound.ok()) {
    DisableInterrupts();
    return bound.error();
  }
  return enabled;
}

Result<unsigned> XenPciFunction::EnableMsix(uint32_t capability, unsigned wanted) {
  const uint16_t control = static_cast<uint16_t>(config_.Read(capability + kControl, 2));
  const uint32_t where = config_.Read(capability + kMsixTable, 4);
  const unsigned bar = where & 7;
  const uint64_t table = where & ~7u;
  const unsigned count = std::min({wanted, kMaxVectors, (control & kMsixSizeMask) + 1u});
  auto size = OpenBar(bar);
  if (!size.ok() || table + count * kMsixEntryBytes > *size) return Error::kUnsupported;
  while (vector_count_ < count && AddVector()) {
  }
  if (vector_count_ == 0) return Error::kUnsupported;
  enabled_at_ = capability + kControl;
  enable_bit_ = kMsixEnable;
  // The table cannot be written with interrupts off in all devices: on, but masked, meanwhile.
  config_.Write(enabled_at_, 2, control | kMsixEnable | kMsixMaskAll);
  for (unsigned i = 0; i < vector_count_; ++i) {
    const Message message(vectors_[i].pirq);
    const uint64_t entry = table + i * kMsixEntryBytes;
    Write32(bar, entry + 12, 1);
    Write32(bar, entry, message.low);
    Write32(bar, entry + 4, message.high);
    Write32(bar, entry + 8, message.data);
    Write32(bar, entry + 12, 0);
  }
  config_.Write(enabled_at_, 2, (control | kMsixEnable) & ~kMsixMaskAll);
  return vector_count_;
}

Result<unsigned> XenPciFunction::EnableMsi(uint32_t capability) {
  vector_count_ = 0;
  if (!AddVector()) return Error::kUnsupported;
  const uint16_t control = static_cast<uint16_t>(config_.Read(capability + kControl, 2));
  const Message message(vectors_[0].pirq);
  config_.Write(capability + kMsiAddress, 4, message.low);
  const bool wide = control & kMsi64;
  if (wide) config_.Write(capability + kMsiAddress + 4, 4, message.high);
  config_.Write(capability + kMsiAddress + (wide ? 8 : 4), 2, message.data);
  enabled_at_ = capability + kControl;
  enable_bit_ = kMsiEnable;
  config_.Write(enabled_at_, 2, (control & ~kMsiCountMask) | kMsiEnable);
  return 1u;
}

Status XenPciFunction::BindVectors() {
  for (unsigned i = 0; i < vector_count_; ++i) {
    Vector& vector = vectors_[i];
    auto port = events_.BindPirq(vector.pirq);
    if (!port.ok()) return port.error();
    vector.port = *port;
    physdev_irq_status_query_t query = {.irq = vector.pirq, .flags = 0};
    vector.acknowledge =
        PhysdevOp(PHYSDEVOP_irq_status_query, &query) == 0 && (query.flags & XENIRQSTAT_needs_eoi) != 0;
  }
  return Status();
}

void XenPciFunction::SetInterruptHandler(unsigned vector, Handler* handler) {
  if (vector >= vector_count_ || vectors_[vector].port == 0) return;
  vectors_[vector].handler = handler;
  events_.SetHandler(vectors_[vector].port, handler ? &vectors_[vector] : nullptr);
}

void XenPciFunction::Raise(unsigned vector) {
  if (vector < vector_count_ && vectors_[vector].handler) events_.Raise(vectors_[vector].port);
}

void XenPciFunction::DisableInterrupts() {
  if (enabled_at_ != 0) config_.Write(enabled_at_, 2, config_.Read(enabled_at_, 2) & ~enable_bit_);
  enabled_at_ = 0;
  for (unsigned i = 0; i < vector_count_; ++i) {
    if (vectors_[i].port != 0) events_.Close(vectors_[i].port);
    physdev_unmap_pirq_t unmap = {};
    unmap.domid = DOMID_SELF;
    unmap.pirq = static_cast<int>(vectors_[i].pirq);
    PhysdevOp(PHYSDEVOP_unmap_pirq, &unmap);  // With the device gone, Xen has done so.
    vectors_[i] = {};
  }
  vector_count_ = 0;
}

}  // namespace librettos::xen
