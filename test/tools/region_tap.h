// A platform that remembers the memory that is allocated through it, so that a test program can write to what
// GuestEnd keeps to itself. All else goes to the real one. Single-threaded.
#pragma once

#include "guest/platform/platform.h"

namespace librettos::test {

class RegionTap final : public Platform {
 public:
  explicit RegionTap(Platform& real) : real_(real) {}
  // Of the last allocation; empty before.
  std::span<std::byte> memory() const { return memory_; }

  DomainId self() const override { return real_.self(); }
  std::span<const std::string_view> arguments() const override { return real_.arguments(); }
  Loop& loop() override { return real_.loop(); }
  Registry& registry() override { return real_.registry(); }
  Devices& devices() override { return real_.devices(); }
  Files& files() override { return real_.files(); }
  Result<Region*> Allocate(size_t bytes) override {
    Result<Region*> region = real_.Allocate(bytes);
    if (region.ok()) memory_ = (*region)->bytes();
    return region;
  }
  void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) override {
    real_.Map(owner, ref, bytes, writable, observer);
  }
  Result<EventPort*> Offer(DomainId peer) override { return real_.Offer(peer); }
  void Bind(DomainId owner, PortNumber port, BindObserver* observer) override {
    real_.Bind(owner, port, observer);
  }
  void Cancel(MapObserver* observer) override { real_.Cancel(observer); }
  void Cancel(BindObserver* observer) override { real_.Cancel(observer); }

 private:
  Platform& real_;
  std::span<std::byte> memory_;
};

}  // namespace librettos::test
