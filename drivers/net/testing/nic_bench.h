// A NIC and its wire, on a test's bench: what nic_conformance.h needs of a device, model or real.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "drivers/net/nic.h"
#include "drivers/net/testing/frames.h"

namespace librettos::fake {

class NicBench {
 public:
  virtual ~NicBench() = default;
  // What this bench needs and is not here; then nothing else may be called. Empty: nothing.
  virtual std::string missing() const { return ""; }
  // Opens the one NIC. Deleted by the test before the bench.
  virtual Result<Nic*> Open(const MacAddress& address, uint32_t mtu) = 0;
  // What the NIC has put on the wire since the last call; a real device may need some time for it.
  virtual std::vector<Frame> TakeSent() = 0;
  // A frame arrives from the wire.
  virtual void Deliver(const Frame& frame) = 0;
  // Waits until what was delivered is with the NIC, or does not get there.
  virtual void Sync() {}
  // How long to wait for what a device is to do.
  virtual Nanoseconds patience() const { return 0; }
  // While on hold the device sends nothing, and what it was given stays with it.
  virtual void SetHold(bool hold) = 0;
  virtual void SetLink(bool up) = 0;
  virtual void Withdraw() = 0;
  // One Loop::Wait that does not sleep. True: a handler was called.
  virtual bool Wait() = 0;
  // Interrupts that the device sent.
  virtual uint64_t interrupts() const = 0;
  // Which of the device's rules the driver broke. Empty: none.
  virtual std::string Complaints() const = 0;
  // After the NIC was deleted: the device is quiet and holds nothing.
  virtual bool Quiet() const = 0;
  // Whether SetHold and Withdraw can be done here.
  virtual bool can_hold() const { return true; }
  virtual bool can_withdraw() const { return true; }
  // Whether the device keeps frames for other addresses back.
  virtual bool filters() const = 0;
};

}  // namespace librettos::fake
