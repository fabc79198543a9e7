// A PCI function that a domain owns: what a NIC driver stands on.
//
// Implemented by guest/platform/xen (a passed-through function) and, for unit tests, by device models in
// drivers/net/testing. Loop thread only. Nothing blocks. What the device writes into DMA memory, and what its
// registers read, is untrusted: a driver loads each word once and checks it before use. A withdrawn device
// reads as all ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/platform/platform.h"

namespace librettos {

// Zeroed, page-aligned memory that lies together on the bus. The device can read and write it until
// Release(); the driver has stopped the device before.
class DmaMemory {
 public:
  virtual std::span<std::byte> bytes() = 0;
  virtual uint64_t bus_address() const = 0;
  virtual void Release() = 0;

 protected:
  ~DmaMemory() = default;
};

class PciFunction {
 public:
  // Configuration space (PCI Local Bus 3.0, section 6.1); `offset` is aligned to `width`, 1, 2 or 4 bytes.
  virtual uint32_t ReadConfig(uint32_t offset, unsigned width) = 0;
  virtual void WriteConfig(uint32_t offset, unsigned width, uint32_t value) = 0;

  // Places and enables the memory BAR (0 to 5; of a 64-bit one the lower number) and returns its size.
  // kNotFound: the function has none there.
  virtual Result<uint64_t> OpenBar(unsigned bar) = 0;
  // Registers in an open BAR, uncached and in order. Aligned; out of the BAR: reads give all ones, writes are
  // dropped.
  virtual uint8_t Read8(unsigned bar, uint64_t offset) = 0;
  virtual uint16_t Read16(unsigned bar, uint64_t offset) = 0;
  virtual uint32_t Read32(unsigned bar, uint64_t offset) = 0;
  virtual void Write8(unsigned bar, uint64_t offset, uint8_t value) = 0;
  virtual void Write16(unsigned bar, uint64_t offset, uint16_t value) = 0;
  virtual void Write32(unsigned bar, uint64_t offset, uint32_t value) = 0;

  // Lets the device read and write memory, or stops that. Off at first.
  virtual void SetBusMaster(bool on) = 0;
  virtual Result<DmaMemory*> AllocateDma(size_t bytes) = 0;

  // Enables MSI-X, else MSI, with up to `wanted` vectors; returns how many there are. kUnsupported: neither.
  virtual Result<unsigned> EnableInterrupts(unsigned wanted) = 0;
  // `handler` is called from Loop::Wait after vector `vector` fired; interrupts coalesce. nullptr: ignored,
  // and nothing wakes the loop.
  virtual void SetInterruptHandler(unsigned vector, Handler* handler) = 0;
  // Has the handler of `vector` called by the next Loop::Wait, which does not sleep, as if the device had
  // fired it: for what a driver finds done after it enabled interrupts. Without a handler: nothing happens.
  virtual void Raise(unsigned vector) = 0;
  virtual void DisableInterrupts() = 0;

 protected:
  ~PciFunction() = default;
};

}  // namespace librettos
