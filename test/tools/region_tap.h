// A platform that remembers the memory that is allocated through it and the grants of it, so that a test
// program can do to them what GuestEnd would not. All else goes to the real one. Single-threaded.
#pragma once

#include "guest/platform/platform.h"

namespace librettos::test {

// The last region that was allocated through a RegionTap.
class TappedRegion final : public Region {
 public:
  void Tap(Region* real) { real_ = real, granted_ = 0; }
  // The last grant of it; 0: none.
  GrantRef granted() const { return granted_; }

  std::span<std::byte> bytes() override { return real_ ? real_->bytes() : std::span<std::byte>(); }
  Result<GrantRef> GrantTo(DomainId peer, bool writable) override {
    Result<GrantRef> ref = real_->GrantTo(peer, writable);
    if (ref.ok()) granted_ = *ref;
    return ref;
  }
  void Revoke(GrantRef ref) override { real_->Revoke(ref); }
  void Release() override { real_->Release(); }

 private:
  Region* real_ = nullptr;
  GrantRef granted_ = 0;
};

class RegionTap final : public Platform {
 public:
  explicit RegionTap(Platform& real) : real_(real) {}
  TappedRegion& region() { return region_; }

  DomainId self() const override { return real_.self(); }
  std::span<const std::string_view> arguments() const override { return real_.arguments(); }
  Loop& loop() override { return real_.loop(); }
  Registry& registry() override { return real_.registry(); }
  Devices& devices() override { return real_.devices(); }
  Files& files() override { return real_.files(); }
  Result<Region*> Allocate(size_t bytes) override {
    Result<Region*> region = real_.Allocate(bytes);
    if (!region.ok()) return region;
    region_.Tap(*region);
    return &region_;
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
  TappedRegion region_;
};

}  // namespace librettos::test
