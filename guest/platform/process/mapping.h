// Memory of other domains, mapped on request. What arrives is checked: a memfd whose size cannot shrink.
#pragma once

#include <map>

#include "guest/platform/process/control.h"

namespace librettos::process {

class ProcessMapping;

class Mappings {
 public:
  explicit Mappings(Control& control) : control_(control) {}
  ~Mappings();
  void Map(uint32_t id, DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer);
  void Cancel(MapObserver* observer);
  void Redeclare();
  // Answers a request; unknown ids (cancelled, answered by a former daemon) are ignored.
  void OnReply(InMessage& message);

 private:
  friend class ProcessMapping;
  struct Pending {
    DomainId owner;
    GrantRef ref;
    size_t bytes;
    bool writable;
    MapObserver* observer;
  };
  void Request(uint32_t id, const Pending& pending);
  Result<Mapping*> Accept(const Pending& pending, const Descriptor& memory);

  Control& control_;
  std::map<uint32_t, Pending> pending_;
  std::vector<ProcessMapping*> mappings_;
};

class ProcessMapping final : public Mapping {
 public:
  ProcessMapping(Mappings& mappings, std::span<std::byte> bytes, size_t mapped)
      : mappings_(mappings), bytes_(bytes), mapped_(mapped) {}
  ~ProcessMapping();
  std::span<std::byte> bytes() override { return bytes_; }
  void Unmap() override;

 private:
  Mappings& mappings_;
  std::span<std::byte> bytes_;
  size_t mapped_;
};

}  // namespace librettos::process
