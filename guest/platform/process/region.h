// Memory of this domain as a sealed memfd, and what is granted of it.
//
// The size is sealed, so that no mapping can be cut off. The first grant decides what the region is: writable
// for peers, or read-only, which the kernel then enforces (F_SEAL_FUTURE_WRITE); mixing the two is
// kUnsupported.
#pragma once

#include <map>

#include "guest/platform/process/control.h"

namespace librettos::process {

class ProcessRegion;

// Counts grant references, and knows the regions to declare.
class Regions {
 public:
  explicit Regions(Control& control) : control_(control) {}
  ~Regions();
  Result<Region*> Allocate(size_t bytes);
  void Redeclare();

 private:
  friend class ProcessRegion;
  Control& control_;
  GrantRef next_ref_ = 1;
  std::vector<ProcessRegion*> regions_;
};

class ProcessRegion final : public Region {
 public:
  ProcessRegion(Regions& regions, Descriptor memory, std::span<std::byte> bytes)
      : regions_(regions), memory_(std::move(memory)), bytes_(bytes) {}
  ~ProcessRegion();

  std::span<std::byte> bytes() override { return bytes_; }
  Result<GrantRef> GrantTo(DomainId peer, bool writable) override;
  void Revoke(GrantRef ref) override;
  void Release() override;
  void Redeclare();

 private:
  enum class Use { kUnknown, kWritable, kReadOnly };
  struct Grant {
    DomainId peer;
    bool writable;
  };
  void Declare(GrantRef ref, const Grant& grant);

  Regions& regions_;
  Descriptor memory_;
  std::span<std::byte> bytes_;
  Use use_ = Use::kUnknown;
  std::map<GrantRef, Grant> grants_;
};

}  // namespace librettos::process
