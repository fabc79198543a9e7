// The CPUs of a domain: the first one runs the loop, the others what is started on them.
//
// A domain has one CPU unless its specification says more. What runs beside the loop may use memory, Now(),
// Log(), Random(), Panic(), EventPort::Signal, Files (one CPU at a time) and what stands here; all else of
// the platform belongs to the loop.
#pragma once

#include <atomic>
#include <cstdint>

#include "guest/platform/result.h"

namespace librettos {

// What a CPU other than the loop's does.
class Work {
 public:
  virtual void Run() = 0;

 protected:
  ~Work() = default;
};

class Cpus {
 public:
  // At least 1; the loop's is 0.
  virtual unsigned count() const = 0;
  // Runs `work` on CPU `cpu`, 1 to count() - 1. Each runs one work in its life. It has to return before
  // DomainMain does. Loop's CPU only. kInvalidArgument: no such CPU; kInUse: it was given work before.
  virtual Status Start(unsigned cpu, Work* work) = 0;
  // Ends the sleep of `cpu`: that which it is in, else its next one. The sleep of CPU 0 is Loop::Wait.
  // Any CPU. What the caller wrote before is seen by who was woken.
  virtual void Wake(unsigned cpu) = 0;
  // Sleeps until CPU `cpu`, the calling one and not 0, is woken, or until `deadline` (a value of Now()). May
  // end early.
  virtual void Sleep(unsigned cpu, uint64_t deadline) = 0;

 protected:
  ~Cpus() = default;
};

// The CPUs of a domain that has one.
class OneCpu final : public Cpus {
 public:
  unsigned count() const override { return 1; }
  Status Start(unsigned, Work*) override { return Error::kInvalidArgument; }
  void Wake(unsigned) override {}
  void Sleep(unsigned, uint64_t) override {}
};

// Lets others run in the caller's place: it waits for one that may be among them. Any CPU.
void Yield();

}  // namespace librettos
