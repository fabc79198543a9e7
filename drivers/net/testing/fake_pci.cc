#include "drivers/net/testing/fake_pci.h"

#include <algorithm>
#include <cstring>

namespace librettos::fake {

class FakePci::Block final : public DmaMemory {
 public:
  Block(FakePci& pci, uint64_t at, size_t bytes) : pci_(pci), at_(at), bytes_(bytes), memory_(bytes / 8) {}
  std::span<std::byte> bytes() override { return std::as_writable_bytes(std::span(memory_)).first(bytes_); }
  uint64_t bus_address() const override { return at_; }
  void Release() override { pci_.blocks_.erase(at_); }

 private:
  FakePci& pci_;
  uint64_t at_;
  size_t bytes_;
  std::vector<uint64_t> memory_;  // Aligned for every word.
};

FakePci::FakePci(uint16_t vendor, uint16_t device, std::map<unsigned, uint64_t> bars)
    : bars_(std::move(bars)) {
  std::memcpy(&config_[0], &vendor, 2);
  std::memcpy(&config_[2], &device, 2);
  config_[6] = 1 << 4;  // It has a capability list.
  msi_x_capability_ = AddCapability(0x11, std::vector<uint8_t>(10));
}

FakePci::~FakePci() = default;

uint8_t FakePci::AddCapability(uint8_t id, std::vector<uint8_t> content) {
  const uint8_t at = next_capability_;
  config_[last_capability_ ? last_capability_ + 1 : 0x34] = at;
  config_[at] = id;
  config_[at + 1] = 0;
  std::copy(content.begin(), content.end(), config_.begin() + at + 2);
  last_capability_ = at;
  next_capability_ = static_cast<uint8_t>(at + 2 + content.size() + 3) & ~3;
  return at;
}

void FakePci::SetInterrupts(bool msi_x, unsigned vectors) {
  msi_x_ = msi_x;
  offered_ = vectors;
}

std::vector<std::span<std::byte>> FakePci::DmaBlocks() {
  std::vector<std::span<std::byte>> all;
  for (auto& [at, block] : blocks_) all.push_back(block->bytes());
  return all;
}

std::byte* FakePci::Dma(uint64_t bus_address, size_t bytes) {
  auto after = blocks_.upper_bound(bus_address);
  if (bus_master_ && !withdrawn_ && after != blocks_.begin()) {
    Block& block = *std::prev(after)->second;
    const uint64_t offset = bus_address - block.bus_address();
    if (offset <= block.bytes().size() && bytes <= block.bytes().size() - offset)
      return block.bytes().data() + offset;
  }
  ++faults_;
  return nullptr;
}

void FakePci::Fire(unsigned vector) {
  if (vector >= enabled_ || withdrawn_) return;
  ++fired_;
  vectors_[vector].pending = true;
}

void FakePci::Raise(unsigned vector) {
  if (vector < vectors_.size()) vectors_[vector].pending = true;
}

bool FakePci::pending() const {
  return std::any_of(vectors_.begin(), vectors_.end(),
                     [](const Vector& v) { return v.pending && v.handler; });
}

bool FakePci::Poll() {
  bool any = false;
  std::vector<Handler*> due;  // One round: what is raised meanwhile waits for the next.
  for (Vector& vector : vectors_) {
    if (vector.pending && vector.handler) due.push_back(vector.handler);
    vector.pending = false;
  }
  for (Handler* handler : due) {
    handler->OnEvent();
    any = true;
  }
  return any;
}

uint32_t FakePci::ReadConfig(uint32_t offset, unsigned width) {
  uint32_t value = 0xffffffff;
  if (!withdrawn_ && offset % width == 0 && offset + width <= config_.size()) {
    value = 0;
    std::memcpy(&value, &config_[offset], width);
  }
  return width == 4 ? value : value & ((1u << 8 * width) - 1);
}

void FakePci::WriteConfig(uint32_t offset, unsigned width, uint32_t value) {
  if (!withdrawn_ && offset % width == 0 && offset + width <= config_.size())
    std::memcpy(&config_[offset], &value, width);
}

Result<uint64_t> FakePci::OpenBar(unsigned bar) {
  if (!bars_.contains(bar)) return Error::kNotFound;
  open_[bar] = true;
  return bars_[bar];
}

bool FakePci::Reaches(unsigned bar, uint64_t offset, unsigned width) {
  return !withdrawn_ && model_ && open_.contains(bar) && offset % width == 0 && offset + width <= bars_[bar];
}

uint32_t FakePci::Read(unsigned bar, uint64_t offset, unsigned width) {
  return Reaches(bar, offset, width) ? model_->Read(bar, offset, width) : 0xffffffff;
}

void FakePci::Write(unsigned bar, uint64_t offset, unsigned width, uint32_t value) {
  if (Reaches(bar, offset, width)) model_->Write(bar, offset, width, value);
}

Result<DmaMemory*> FakePci::AllocateDma(size_t bytes) {
  if (blocks_.size() >= dma_limit_) return Error::kExhausted;
  const size_t whole = (bytes + kPageSize - 1) / kPageSize * kPageSize;
  auto block = std::make_unique<Block>(*this, next_bus_address_, whole);
  next_bus_address_ += whole + kPageSize;  // A hole: who goes beyond is found out.
  DmaMemory* memory = block.get();
  blocks_[memory->bus_address()] = std::move(block);
  return memory;
}

Result<unsigned> FakePci::EnableInterrupts(unsigned wanted) {
  if (offered_ == 0) return Error::kUnsupported;
  enabled_ = std::min(wanted, offered_);
  vectors_.resize(enabled_);
  config_[msi_x_capability_ + 3] = msi_x_ ? 0x80 : 0;
  return enabled_;
}

void FakePci::SetInterruptHandler(unsigned vector, Handler* handler) {
  if (vector < vectors_.size()) vectors_[vector].handler = handler;
}

void FakePci::DisableInterrupts() {
  enabled_ = 0;
  vectors_.clear();
  config_[msi_x_capability_ + 3] = 0;
}

}  // namespace librettos::fake
