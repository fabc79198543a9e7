// What code inside a domain stands on: the domain-side half of the hypervisor.
//
// Implemented by guest/platform/process (a confined Linux process) and guest/platform/xen (bare metal).
// Everything here is used from the domain's one loop thread unless said otherwise (cpus.h). Nothing here
// blocks but Loop::Wait and Files, and nothing waits for the control domain: with the daemon dead, calls that
// need it are kept and carried out when it is back. The domain's own state is always re-declared after a
// reconnection.
//
// Ownership: objects returned as pointers belong to the platform and live until their Close()/Release() is
// called or the domain ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "guest/platform/cpus.h"
#include "guest/platform/result.h"

namespace librettos {

using DomainId = uint32_t;    // 0 is the control domain. Never reused while a host is up.
using GrantRef = uint32_t;    // Chosen by the granting domain's platform; unique within that domain, never 0.
using PortNumber = uint32_t;  // Number of an offered event port; unique within the offering domain, never 0.
using Nanoseconds = uint64_t;

inline constexpr DomainId kControlDomain = 0;
inline constexpr size_t kPageSize = 4096;

// Called from Loop::Wait. Must not block.
class Handler {
 public:
  virtual void OnEvent() = 0;

 protected:
  ~Handler() = default;
};

// ---- Clock, console, entropy ----------------------------------------------------------------------------
// Monotonic time since an arbitrary start; never goes back; cheap (no system call).
Nanoseconds Now();
// Writes a line to the console (a new line is added). Never blocks for long; may drop under pressure.
void Log(std::string_view line);
// Reports `reason` and ends the domain abnormally: for broken invariants of our own, never for bad input.
[[noreturn]] void Panic(std::string_view reason);
// Cryptographically strong bytes.
void Random(std::span<std::byte> out);

// ---- Loop ------------------------------------------------------------------------------------------------
class Loop {
 public:
  // Calls the handlers of all that is ready. If nothing is, sleeps until something is or until `deadline`
  // (a value of Now(); 0 polls). Returns after at most one round of handlers.
  virtual void Wait(Nanoseconds deadline) = 0;
  // The sleep of Wait alone: calls nobody. What ended it is found by the next Wait.
  virtual void Sleep(Nanoseconds deadline) = 0;
  // True once the control domain asked this domain to end in good order.
  virtual bool stopping() const = 0;

 protected:
  ~Loop() = default;
};

// ---- Memory and grants -----------------------------------------------------------------------------------
// Page-aligned zeroed memory of this domain that other domains can be allowed to map.
class Region {
 public:
  virtual std::span<std::byte> bytes() = 0;
  // Lets `peer` map the region. The grant is re-declared to a new daemon by the platform.
  virtual Result<GrantRef> GrantTo(DomainId peer, bool writable) = 0;
  // Withdraws a grant: no further Map succeeds. A mapping that the peer already has stays until it lets go.
  virtual void Revoke(GrantRef ref) = 0;
  // Revokes all and frees.
  virtual void Release() = 0;

 protected:
  ~Region() = default;
};

// Memory of another domain. Its content is hostile; its size is checked and can no longer shrink.
class Mapping {
 public:
  virtual std::span<std::byte> bytes() = 0;
  virtual void Unmap() = 0;

 protected:
  ~Mapping() = default;
};

class MapObserver {
 public:
  virtual void OnMapped(Result<Mapping*> mapping) = 0;

 protected:
  ~MapObserver() = default;
};

// ---- Events ----------------------------------------------------------------------------------------------
// One end of a doorbell between two domains. Signals coalesce.
class EventPort {
 public:
  virtual PortNumber number() const = 0;
  virtual void Signal() = 0;                      // Wakes the other end. Any thread.
  virtual void SetHandler(Handler* handler) = 0;  // Called when the other end signalled; nullptr: ignored.
  virtual void Close() = 0;

 protected:
  ~EventPort() = default;
};

class BindObserver {
 public:
  virtual void OnBound(Result<EventPort*> port) = 0;

 protected:
  ~BindObserver() = default;
};

// ---- Registry --------------------------------------------------------------------------------------------
// Told of the state of every key at and below a watched path: once for each that exists when the watch is set
// (and again after a reconnection), then for each change. Level-triggered: intermediate values may be
// skipped.
class RegistryObserver {
 public:
  // `value` is valid during the call only. `present` false: the key is gone (value empty).
  virtual void OnKey(std::string_view path, std::string_view value, bool present) = 0;

 protected:
  ~RegistryObserver() = default;
};

// The domain's view of the key-value store. Paths are absolute ("/local/domain/7/data/mode"), at most 255
// characters of [A-Za-z0-9-_/@.:]; values at most 1024 bytes.
class Registry {
 public:
  // Makes `path` hold `value`, now and after every reconnection, until Remove. Last writer wins. Refusals (no
  // permission, quota) are logged and counted: they are broken invariants of ours or of the daemon.
  virtual Status Publish(std::string_view path, std::string_view value) = 0;
  virtual void Remove(std::string_view path) = 0;  // With everything below it.
  virtual Status Watch(std::string_view path, RegistryObserver* observer) = 0;
  virtual void Unwatch(std::string_view path, RegistryObserver* observer) = 0;

 protected:
  ~Registry() = default;
};

// ---- Devices ---------------------------------------------------------------------------------------------
enum class DeviceKind : uint8_t { kTap = 1, kPci = 2 };

class PciFunction;  // guest/platform/pci.h

// A device that this domain owns until it gives it back. `name` is the daemon's name of the NIC.
struct Device {
  char name[64];
  DeviceKind kind;
  int descriptor;      // kTap: open, non-blocking, IFF_VNET_HDR set up; closed by Devices::Return. Else -1.
  uint8_t address[6];  // The hardware address to use.
  uint32_t mtu;        // Bytes of IP, e.g. 1500.
  PciFunction* function = nullptr;  // kPci: the platform's, until Devices::Return.
};

class DeviceObserver {
 public:
  // The device is this domain's from now on.
  virtual void OnDevice(const Device& device) = 0;

 protected:
  ~DeviceObserver() = default;
};

class Devices {
 public:
  virtual void SetObserver(DeviceObserver* observer) = 0;  // Told of those already given, too.
  virtual void Return(std::string_view name) = 0;  // Gives the device back: closed here, told to the daemon.

 protected:
  ~Devices() = default;
};

// ---- Files -----------------------------------------------------------------------------------------------
// Read-only files given to the domain (a directory in embedded mode, an archive on Xen).
struct FileInfo {
  uint64_t size;
  bool directory;
};

class Files {
 public:
  // `path` is relative to the root of the files, without "..". The handle is small and non-negative.
  virtual Result<int> Open(std::string_view path, FileInfo* info) = 0;
  virtual Result<size_t> ReadAt(int handle, uint64_t offset, std::span<std::byte> out) = 0;
  virtual void Close(int handle) = 0;
  // Calls `entry` for each name in a directory, in no order.
  virtual Status List(std::string_view path,
                      void (*entry)(void* context, std::string_view name, const FileInfo& info),
                      void* context) = 0;

 protected:
  ~Files() = default;
};

// ---- The whole -------------------------------------------------------------------------------------------
class Platform {
 public:
  virtual DomainId self() const = 0;
  // The command line: program arguments as given by the specification.
  virtual std::span<const std::string_view> arguments() const = 0;
  virtual Loop& loop() = 0;
  virtual Registry& registry() = 0;
  virtual Devices& devices() = 0;
  virtual Files& files() = 0;
  virtual Result<Region*> Allocate(size_t bytes) = 0;
  // Maps `bytes` of `owner`'s granted region. Answers through `observer`, maybe before returning. kProtocol:
  // the region is smaller than `bytes`, or can shrink.
  virtual void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) = 0;
  // Offers a doorbell that only `peer` can bind.
  virtual Result<EventPort*> Offer(DomainId peer) = 0;
  virtual void Bind(DomainId owner, PortNumber port, BindObserver* observer) = 0;
  // Forgets `observer`: pending Map and Bind calls of it will not be answered.
  virtual void Cancel(MapObserver* observer) = 0;
  virtual void Cancel(BindObserver* observer) = 0;
  virtual Cpus& cpus() { return one_cpu_; }

 protected:
  ~Platform() = default;

 private:
  OneCpu one_cpu_;
};

// Written once per kind of domain (netserver/main.cc, guest/apps/main.cc); called by the platform's start-up
// code, which on return ends the domain in good order with the returned status.
int DomainMain(Platform& platform);

}  // namespace librettos
