// The opening of a NIC in steps, so that the domain's loop goes on meanwhile: a PCI function waits for its
// device, and on Xen for the device model, which answers each access to configuration space.
//
// Single-threaded; a step does not wait. The longest ones place a BAR, or set up interrupts: a dozen or two
// accesses to configuration space.
#pragma once

#include <memory>

#include "drivers/net/nic.h"

namespace librettos {

class NicOpening {
 public:
  // Before it is done: the device is made quiet and what was taken for it given back, as by a Nic's deletion.
  virtual ~NicOpening() = default;
  // Does the next bit, or looks once for what it waits for. nullptr: not open yet, to be called again. The
  // Nic is the caller's. It ends within a second of steps; after the Nic or an error there is no other step.
  virtual Result<Nic*> Step() = 0;
};

// Begins to open `device` with the driver for its kind. The opening and the Nic are deleted by the caller
// before Devices::Return.
Result<NicOpening*> OpenNic(Platform& platform, const Device& device);

// What needs no steps.
class ReadyNic final : public NicOpening {
 public:
  explicit ReadyNic(Nic* nic) : nic_(nic) {}  // Takes it over.
  Result<Nic*> Step() override { return nic_.release(); }

 private:
  std::unique_ptr<Nic> nic_;
};

// For whoever has nothing else to do: steps until it is done.
inline Result<Nic*> Finish(Result<NicOpening*> begun) {
  if (!begun.ok()) return begun.error();
  const std::unique_ptr<NicOpening> opening(*begun);
  for (;;) {
    Result<Nic*> nic = opening->Step();
    if (!nic.ok() || *nic) return nic;
  }
}

}  // namespace librettos
